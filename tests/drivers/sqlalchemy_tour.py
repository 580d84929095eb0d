"""SQLAlchemy's tour, over psycopg2 and over asyncpg."""
import asyncio
import contextlib
import io
import os
import sys
import threading

try:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.orm import Session, declarative_base
    import asyncpg  # noqa: F401
    import psycopg2.errors
except ImportError as error:
    print(f"there is no SQLAlchemy with its drivers: {error}")
    sys.exit(77)

Base = declarative_base()
WHERE = "bench:bench@localhost:" + os.environ["PGPORT"] + "/bench"


class Item(Base):
    """A table of the tour's own."""
    __tablename__ = "tour_sqlalchemy"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(20), unique=True)
    price = sa.Column(sa.Numeric(10, 2))
    tags = sa.Column(sa.ARRAY(sa.String))
    made = sa.Column(sa.DateTime, server_default=sa.func.now())


def sessions(engine):
    with Session(engine) as session:
        session.add_all(Item(name=f"item {i}", price=i, tags=["a", str(i)]) for i in range(500))
        session.commit()
        item = session.execute(sa.select(Item).where(Item.name == "item 7")).scalar_one()
        assert item.price == 7 and item.tags == ["a", "7"] and item.made is not None
        item.name = "seven"
        session.commit()
        session.add(Item(name="seven"))
        try:
            session.commit()
            raise AssertionError("no error")
        except sa.exc.IntegrityError:
            session.rollback()
        with session.begin_nested() as savepoint:
            session.execute(sa.delete(Item))
            savepoint.rollback()
        assert session.scalar(sa.select(sa.func.count()).select_from(Item)) == 500


def streams(engine):
    with engine.connect().execution_options(stream_results=True) as connection:
        names = connection.execute(sa.select(Item.id).order_by(Item.id)).scalars()
        assert len([name for part in names.partitions(100) for name in part]) == 500


def many(engine):
    servers = set()

    def use(number):
        for i in range(5):
            with engine.begin() as connection:
                row = connection.execute(
                    sa.text("select pg_backend_pid(), :number, :i"), {"number": number, "i": i})
                pid, *rest = row.one()
                servers.add(pid)
                if rest != [number, i]:
                    servers.update(range(10))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(servers) <= 5, servers


def cancel_sleep(engine, connection):
    """Once the server is seen to sleep for it."""
    query = sa.text("select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'")
    with engine.connect() as look:
        while not look.scalar(query):
            look.rollback()
    connection.driver_connection.cancel()


def raw(engine):
    """What SQLAlchemy leaves to the driver: COPY, cancel; and TLS."""
    with contextlib.closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        out = io.StringIO()
        cursor.copy_expert(
            "copy (select i, 'line ' || i from generate_series(1, 20000) i) to stdout", out)
        cursor.execute("create temp table tour_copy (a int, b text) on commit drop")
        cursor.copy_expert("copy tour_copy from stdin", io.StringIO(out.getvalue()))
        cursor.execute("select count(*), max(b) from tour_copy")
        assert cursor.fetchone() == (20000, "line 9999")
        connection.commit()
        thread = threading.Thread(target=cancel_sleep, args=(engine, connection))
        thread.start()
        try:
            cursor.execute("select pg_sleep(60)")
            raise AssertionError("no error")
        except psycopg2.errors.QueryCanceled:
            pass
        thread.join()
        connection.rollback()
    ca = os.environ["SLUICE_TOUR_CA"]
    secure = sa.create_engine(
        f"postgresql+psycopg2://{WHERE}?sslmode=verify-full&sslrootcert={ca}", future=True)
    with secure.connect() as connection:
        assert len(connection.scalar(sa.text("select repeat('x', 1000000)"))) == 1000000
    secure.dispose()


async def asynchronous():
    engine = create_async_engine(f"postgresql+asyncpg://{WHERE}", pool_size=50)
    servers = set()

    async def use(number):
        for i in range(5):
            async with engine.begin() as connection:
                result = await connection.execute(
                    sa.select(sa.func.pg_backend_pid(), Item.name).where(Item.price == number))
                pid, name = result.one()
                servers.add(pid)
                assert name == ("seven" if number == 7 else f"item {number}"), (name, i)

    await asyncio.gather(*(use(number) for number in range(50)))
    async with engine.connect() as connection:
        stream = await connection.stream(sa.select(Item.id).order_by(Item.id))
        assert len([row async for row in stream]) == 500
        try:
            await connection.execute(sa.text("select 1/0"))
            raise AssertionError("no error")
        except sa.exc.DBAPIError:
            await connection.rollback()
    await engine.dispose()
    assert 1 <= len(servers) <= 5, servers


def main():
    engine = sa.create_engine(f"postgresql+psycopg2://{WHERE}", pool_size=50, future=True)
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    for part in (sessions, streams, raw, many):
        part(engine)
        print(part.__name__)
    asyncio.run(asynchronous())
    print("asynchronous")
    Base.metadata.drop_all(engine)
    engine.dispose()


main()
