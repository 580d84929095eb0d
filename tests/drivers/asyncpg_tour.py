"""asyncpg's tour."""
import asyncio
import datetime
import decimal
import io
import os
import ssl
import sys
import uuid

try:
    import asyncpg
except ImportError:
    print("there is no asyncpg")
    sys.exit(77)

VALUES = [
    1, 2**40, 1.5, decimal.Decimal("12.340"), True, None, "ä'\\\"%\n", b"\0\1\xff",
    datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 30, 1, 5),
    datetime.timedelta(days=3, seconds=4), uuid.UUID(int=7), [1, 2, 3], ["a", None],
]
TYPES = ("int4 int8 float8 numeric bool text text bytea date timestamp interval uuid int4[]"
         " text[]").split()


async def fails(error, awaitable):
    """What is awaited fails with that class of error."""
    try:
        await awaitable
    except error:
        return
    raise AssertionError("no error")


async def parameters(connection):
    sql = "select " + ", ".join(f"${i + 1}::{name}" for i, name in enumerate(TYPES))
    for _ in range(10):
        assert list(await connection.fetchrow(sql, *VALUES)) == VALUES
    await connection.set_type_codec(
        "jsonb", encoder=lambda value: value.upper(), decoder=str, schema="pg_catalog")
    assert await connection.fetchval("select $1::jsonb", '"a"') == '"A"'


async def prepared(connection):
    statements = [await connection.prepare(f"select $1::int + {i}") for i in range(20)]
    for value in range(10):
        for i, statement in enumerate(statements):
            assert await statement.fetchval(value) == value + i
    async with connection.transaction():
        assert await statements[3].fetchval(1) == 4
    assert [attribute.type.name for attribute in statements[0].get_attributes()] == ["int4"]
    await connection.executemany(
        "insert into tour_asyncpg values ($1, $2)", [(i, f"line {i}") for i in range(1, 1001)])
    small = await asyncpg.connect(statement_cache_size=2)
    for i in range(20):
        assert await small.fetchval(f"select $1::int * {i}", 2) == 2 * i
    await small.close()


async def errors(connection):
    for _ in range(3):
        await fails(asyncpg.DivisionByZeroError, connection.fetch("select 1/$1::int", 0))
        await fails(asyncpg.PostgresSyntaxError, connection.fetch("selec $1", 0))
        await fails(asyncpg.UniqueViolationError, connection.execute(
            "insert into tour_asyncpg values ($1, 'again')", 1))
    async with connection.transaction():
        try:
            async with connection.transaction():
                await connection.execute("insert into tour_asyncpg values (-1, 'gone')")
                await connection.execute("insert into tour_asyncpg values (1, 'again')")
        except asyncpg.UniqueViolationError:
            pass
        assert await connection.fetchval("select count(*) from tour_asyncpg") == 1000
    transaction = connection.transaction(isolation="serializable", readonly=True)
    await transaction.start()
    await fails(asyncpg.ReadOnlySQLTransactionError, connection.execute("delete from tour_asyncpg"))
    await fails(asyncpg.InFailedSQLTransactionError, connection.fetch("select 1"))
    await transaction.rollback()
    assert await connection.fetchval("select 1") == 1


async def changes(connection):
    """A table changes under statements that several connections have cached."""
    sql = "select * from tour_changing where a = $1"
    await connection.execute("drop table if exists tour_changing")
    await connection.execute("create table tour_changing as select 1 as a, 2 as b")
    all_connections = [await asyncpg.connect() for _ in range(8)]
    explicit = await connection.prepare(sql)
    for change, expected in (
        ("alter table tour_changing add c int default 3", {"a": 1, "b": 2, "c": 3}),
        ("alter table tour_changing alter b type text using 'two'", {"a": 1, "b": "two", "c": 3}),
        ("alter table tour_changing drop b", {"a": 1, "c": 3}),
        ("alter table tour_changing alter a type bigint", {"a": 1, "c": 3}),
    ):
        for _ in range(3):
            await asyncio.gather(*(other.fetchrow(sql, 1) for other in all_connections))
        await connection.execute(change)
        for _ in range(3):
            rows = await asyncio.gather(*(other.fetchrow(sql, 1) for other in all_connections))
            assert all(dict(row) == expected for row in rows), (change, rows)
        await fails(asyncpg.InvalidCachedStatementError, explicit.fetchrow(1))
        async with connection.transaction():
            await connection.reload_schema_state()
            assert dict(await connection.fetchrow(sql, 1)) == expected
    for other in all_connections:
        await other.close()
    await connection.execute("drop table tour_changing")


async def copies(connection):
    await connection.copy_records_to_table(
        "tour_asyncpg", records=((i, f"line {i}") for i in range(1001, 20001)))
    out = io.BytesIO()
    await connection.copy_from_query(
        "select * from tour_asyncpg where a <= $1 order by a", 20000, output=out)
    assert out.getvalue() == b"".join(b"%d\tline %d\n" % (i, i) for i in range(1, 20001))
    await fails(asyncpg.BadCopyFileFormatError, connection.copy_to_table(
        "tour_asyncpg", source=io.BytesIO(b"1\t2\t3\n")))
    assert await connection.fetchval("select count(*) from tour_asyncpg") == 20000


async def cursors(connection):
    async with connection.transaction():
        rows = [row[0] async for row in connection.cursor(
            "select a from tour_asyncpg where a > $1 order by a", 0, prefetch=500)]
        assert rows == list(range(1, 20001))
        cursor = await connection.cursor("select a from tour_asyncpg order by a")
        assert await cursor.forward(10) == 10
        assert await cursor.fetchrow() == (11,)


async def notifications(connection):
    heard = asyncio.get_running_loop().create_future()
    await connection.add_listener("tour", lambda *arguments: heard.set_result(arguments[-1]))
    other = await asyncpg.connect()
    await other.execute("notify tour, 'hello'")
    await other.close()
    assert await asyncio.wait_for(heard, 20) == "hello"
    await connection.reset()


async def cancels(connection):
    await fails(asyncio.TimeoutError, connection.fetch("select pg_sleep(60)", timeout=0.2))
    assert await connection.fetchval("select 1") == 1


async def tls(_):
    context = ssl.create_default_context(cafile=os.environ["SLUICE_TOUR_CA"])
    secure = await asyncpg.connect(ssl=context)
    assert len(await secure.fetchval("select repeat($1, 1000000)", "x")) == 1000000
    await secure.close()


async def many(_):
    """50 connections of asyncpg's own pool, which resets each that comes back, on a pool of 5."""
    servers = set()

    async def use(number):
        for i in range(10):
            async with pool.acquire() as connection, connection.transaction():
                pid, *rest = await connection.fetchrow(
                    "select pg_backend_pid(), $1::int, $2::int", number, i)
                servers.add(pid)
                assert rest == [number, i], rest

    async with asyncpg.create_pool(min_size=50, max_size=50) as pool:
        await asyncio.gather(*(use(number) for number in range(50)))
    assert 1 <= len(servers) <= 5, servers


async def main():
    connection = await asyncpg.connect()
    await connection.execute("drop table if exists tour_asyncpg")
    await connection.execute("create table tour_asyncpg (a int primary key, b text)")
    for part in (
        parameters, prepared, errors, changes, copies, cursors, notifications, cancels, tls, many,
    ):
        await part(connection)
        print(part.__name__)
    await connection.execute("drop table tour_asyncpg")
    await connection.close()


asyncio.run(main())
