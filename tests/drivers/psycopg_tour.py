"""psycopg 3's tour: its ordinary, asynchronous and pipeline modes."""
import asyncio
import datetime
import decimal
import functools
import os
import sys
import uuid

try:
    import psycopg
    from psycopg import errors as wrong
    from psycopg.types.json import Jsonb
except ImportError:
    print("there is no psycopg")
    sys.exit(77)

VALUES = (
    1, 2**40, 1.5, decimal.Decimal("12.340"), True, None, "ä'\\\"%\n", b"\0\1\xff",
    datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 30, 1, 5),
    datetime.timedelta(days=3, seconds=4), uuid.UUID(int=7), [1, 2, 3], ["a", None],
)
TYPES = ("int4 int8 float8 numeric bool text text bytea date timestamp interval uuid int4[]"
         " text[]").split()


def fails(error, function, *arguments):
    """The call fails with that class of error."""
    try:
        function(*arguments)
    except error:
        return
    raise AssertionError(f"no error: {arguments}")


def parameters(connection):
    sql = "select " + ", ".join(f"%s::{name}" for name in TYPES)
    for binary in (False, True):
        with connection.transaction(), connection.cursor(binary=binary) as cursor:
            assert cursor.execute(sql, VALUES).fetchone() == VALUES
            assert cursor.execute("select %s", (Jsonb({"a": [1]}),)).fetchone() == ({"a": [1]},)


def prepared(connection):
    """psycopg prepares by itself from the fifth time on; or at once, when asked to."""
    for i in range(30):
        for number in range(10):
            row = connection.execute(
                f"select %s::int + {number}", (i,), prepare=(number % 2 == 0) or None).fetchone()
            assert row == (i + number,), row
            connection.commit()
    connection.prepared_max = 3  # the oldest are deallocated
    for i in range(20):
        assert connection.execute(f"select {i} * %s", (2,), prepare=True).fetchone() == (2 * i,)
    connection.commit()
    connection.prepared_max = 100


def changes(connection):
    """The table changes below a prepared statement, which another client made known too."""
    connection.autocommit = True
    with psycopg.connect(autocommit=True) as other:
        for client in (connection, other):
            client.execute("select * from tour_psycopg", prepare=True)
        other.execute("alter table tour_psycopg add c int")
        for client in (connection, other):
            cursor = client.execute("select * from tour_psycopg", prepare=True)
            assert len(cursor.description) == 3
        other.execute("alter table tour_psycopg drop c")
    connection.autocommit = False


def errors(connection):
    connection.autocommit = True
    for prepare in (None, True):
        execute = functools.partial(connection.execute, prepare=prepare)
        fails(wrong.DivisionByZero, execute, "select 1/%s", (0,))
        fails(wrong.SyntaxError, execute, "selec %s", (0,))
        assert connection.execute("select %s", (1,), prepare=prepare).fetchone() == (1,)
    connection.autocommit = False
    connection.execute("insert into tour_psycopg values (1, 'one')")
    with connection.transaction():
        try:
            with connection.transaction():
                connection.execute("insert into tour_psycopg values (%s, 'x')", (1,), prepare=True)
            raise AssertionError("no error")
        except wrong.UniqueViolation:
            pass
        assert connection.execute("select * from tour_psycopg").fetchall() == [(1, "one")]
    fails(wrong.UndefinedColumn, connection.execute, "select nothing")
    fails(wrong.InFailedSqlTransaction, connection.execute, "select 1")
    connection.rollback()
    connection.execute("insert into tour_psycopg values (1, 'one')")
    connection.commit()


def copies(connection):
    with connection.cursor() as cursor:
        with cursor.copy("copy tour_psycopg from stdin") as copy:
            for i in range(2, 20002):
                copy.write_row((i, f"line {i}"))
        connection.commit()
        with cursor.copy("copy (select * from tour_psycopg order by a) to stdout (format binary)"
                         ) as copy:
            copy.set_types(["int4", "text"])
            rows = list(copy.rows())
        assert rows[0] == (1, "one") and rows[-1] == (20001, "line 20001"), rows[-1]
        connection.commit()
        try:
            with cursor.copy("copy tour_psycopg from stdin") as copy:
                copy.write_row((30000, "never"))
                raise KeyError("given up")
        except (KeyError, wrong.QueryCanceled):
            pass  # the second is what the server answers to CopyFail
        connection.rollback()
        fails(wrong.InvalidTextRepresentation, copy_wrong, cursor)
        connection.rollback()
    row = connection.execute("select count(*) from tour_psycopg").fetchone()
    assert row == (20001,), row
    connection.commit()


def copy_wrong(cursor):
    with cursor.copy("copy tour_psycopg from stdin") as copy:
        copy.write(b"no number\tx\n")


def cursors(connection):
    with connection.transaction(), connection.cursor("named", scrollable=True) as cursor:
        cursor.itersize = 500
        cursor.execute("select a from tour_psycopg where a > %s order by a", (0,))
        assert [row[0] for row in cursor] == list(range(1, 20002))
        cursor.scroll(10, "absolute")
        assert cursor.fetchone() == (11,)
    with connection.cursor("held", withhold=True) as cursor:
        cursor.execute("select a from tour_psycopg order by a")
        connection.commit()
        assert cursor.fetchmany(2) == [(1,), (2,)]
        connection.commit()
        assert cursor.fetchone() == (3,)
    connection.commit()


def notifications(connection):
    connection.autocommit = True
    connection.execute("listen tour")
    with psycopg.connect(autocommit=True) as other:
        other.execute("notify tour, 'hello'")
    assert next(connection.notifies()).payload == "hello"
    connection.execute("unlisten *")
    connection.autocommit = False


def pipelines(connection):
    for _ in range(3):
        with connection.pipeline():
            made = [
                connection.execute(f"select %s::int * {i % 7}", (i,)) for i in range(200)
            ]
        assert [cursor.fetchone()[0] for cursor in made] == [i * (i % 7) for i in range(200)]
        connection.commit()
    connection.autocommit = True
    with connection.pipeline() as pipeline:
        first = connection.execute("select 1", prepare=True)
        pipeline.sync()
        bad = connection.execute("select 1/%s", (0,), prepare=True)
        behind = connection.execute("select 2", prepare=True)
        fails(wrong.DivisionByZero, bad.fetchone)
        fails(psycopg.Error, behind.fetchone)
        pipeline.sync()
        after = connection.execute("select 3", prepare=True)
        assert first.fetchone() == (1,) and after.fetchone() == (3,)
    with connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
        cursor.executemany("update tour_psycopg set b = %s where a = %s",
                           [(f"new {i}", i) for i in range(2, 502)])
    row = connection.execute("select count(*) from tour_psycopg where b like 'new%'").fetchone()
    assert row == (500,), row
    connection.autocommit = False


async def asynchronous():
    connection = await psycopg.AsyncConnection.connect(autocommit=True)
    sql = "select " + ", ".join(f"%s::{name}" for name in TYPES)
    for _ in range(20):
        assert await (await connection.execute(sql, VALUES, prepare=True)).fetchone() == VALUES
    async with connection.cursor() as cursor:
        async with cursor.copy("copy (select a from tour_psycopg order by a) to stdout") as copy:
            rows = [row async for row in copy.rows()]
    assert rows == [(str(i),) for i in range(1, 20002)]
    async with await psycopg.AsyncConnection.connect(autocommit=True) as other:
        task = asyncio.create_task(connection.execute("select pg_sleep(61)"))
        seen = (0,)
        while seen == (0,):
            seen = await (await other.execute(
                "select count(*) from pg_stat_activity where query = 'select pg_sleep(61)'"
            )).fetchone()
        connection.cancel()
        try:
            await task
            raise AssertionError("no error")
        except wrong.QueryCanceled:
            pass
    assert await (await connection.execute("select 1")).fetchone() == (1,)
    await connection.close()


async def many():
    """50 connections on the pool's 5, each with prepared statements, plain and in pipelines."""
    connections = await asyncio.gather(
        *(psycopg.AsyncConnection.connect(autocommit=True) for _ in range(50)))
    servers = set()

    async def use(number):
        connection = connections[number]
        for i in range(10):
            cursor = await connection.execute(
                "select pg_backend_pid(), %s::int, %s::int", (number, i), prepare=True)
            pid, *rest = await cursor.fetchone()
            servers.add(pid)
            assert rest == [number, i], rest
            async with connection.pipeline():
                made = [await connection.execute(f"select {j} + %s", (number,), prepare=True)
                        for j in range(5)]
            assert [(await cursor.fetchone())[0] for cursor in made] == [
                number + j for j in range(5)]
        await connection.close()

    await asyncio.gather(*(use(number) for number in range(50)))
    assert 1 <= len(servers) <= 5, servers


def tls(_):
    ca = os.environ["SLUICE_TOUR_CA"]
    with psycopg.connect(
        sslmode="verify-full", sslrootcert=ca, channel_binding="require",
    ) as secure:
        assert secure.pgconn.ssl_in_use
        text = secure.execute("select repeat(%s, 1000000)", ("x",), prepare=True).fetchone()[0]
        assert len(text) == 1000000


def main():
    connection = psycopg.connect()
    connection.execute("drop table if exists tour_psycopg")
    connection.execute("create table tour_psycopg (a int primary key, b text)")
    connection.commit()
    for part in (
        parameters, prepared, changes, errors, copies, cursors, notifications, pipelines, tls,
    ):
        part(connection)
        print(part.__name__)
    for part in (asynchronous, many):
        asyncio.run(part())
        print(part.__name__)
    connection.execute("drop table tour_psycopg")
    connection.commit()
    connection.close()


main()
