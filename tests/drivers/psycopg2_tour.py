"""psycopg2's tour."""
import datetime
import decimal
import io
import os
import sys
import threading
import uuid

try:
    import psycopg2
    import psycopg2.extras
except ImportError:
    print("there is no psycopg2")
    sys.exit(77)

psycopg2.extras.register_uuid()


def fails(error, cursor, sql):
    """The statement fails with that class of error."""
    try:
        cursor.execute(sql)
    except error:
        return
    raise AssertionError(f"no error: {sql}")


def parameters(connection):
    values = (
        1, 2**40, 1.5, decimal.Decimal("12.340"), True, None, "ä'\\\"%\n", b"\0\1\xff",
        datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 30, 1, 5),
        datetime.timedelta(days=3, seconds=4), uuid.UUID(int=7), [1, 2, 3], ["a", None],
        psycopg2.extras.Json({"a": [1, None]}),
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "select %s, %s::int8, %s::float8, %s, %s, %s::text, %s, %s::bytea, %s, %s, %s, %s, %s,"
            " %s, %s::jsonb", values,
        )
        row = list(cursor.fetchone())
    row[7] = bytes(row[7])
    assert row[:-1] == list(values[:-1]) and row[-1] == {"a": [1, None]}, row


def prepared(connection):
    with connection, connection.cursor() as cursor:
        cursor.execute("prepare plus (int, int) as select $1 + $2")
    for i in range(20):
        with connection, connection.cursor() as cursor:
            cursor.execute("execute plus (%s, 1)", (i,))
            assert cursor.fetchone() == (i + 1,)
    with connection, connection.cursor() as cursor:
        cursor.execute("deallocate plus")
    with connection.cursor() as cursor:
        fails(psycopg2.errors.InvalidSqlStatementName, cursor, "execute plus (1, 1)")
    connection.rollback()


def errors(connection):
    connection.autocommit = True
    with connection.cursor() as cursor:
        fails(psycopg2.errors.DivisionByZero, cursor, "select 1/0")
        cursor.execute("select 1")
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("create table tour_psycopg2 (a int primary key, b text)")
        cursor.execute("savepoint here")
        fails(psycopg2.errors.SyntaxError, cursor, "selec")
        fails(psycopg2.errors.InFailedSqlTransaction, cursor, "select 1")
        cursor.execute("rollback to here")
        cursor.execute("insert into tour_psycopg2 values (1, 'one')")
    connection.commit()
    with connection.cursor() as cursor:
        fails(psycopg2.errors.UniqueViolation, cursor,
              "insert into tour_psycopg2 values (1, 'again')")
        connection.rollback()
        cursor.execute("select * from tour_psycopg2")
        assert cursor.fetchall() == [(1, "one")]
    connection.rollback()


def copies(connection):
    lines = "".join(f"{i}\tline {i}\n" for i in range(2, 20002))
    with connection, connection.cursor() as cursor:
        cursor.copy_expert("copy tour_psycopg2 from stdin", io.StringIO(lines))
        assert cursor.rowcount == 20000
    out = io.StringIO()
    with connection, connection.cursor() as cursor:
        cursor.copy_expert(
            "copy (select * from tour_psycopg2 where a > 1 order by a) to stdout", out)
    assert out.getvalue() == lines
    try:
        with connection, connection.cursor() as cursor:
            cursor.copy_expert("copy tour_psycopg2 from stdin", io.StringIO("no number\tx\n"))
        raise AssertionError("no error")
    except psycopg2.errors.InvalidTextRepresentation:
        pass


def cursors(connection):
    with connection, connection.cursor("named") as cursor:
        cursor.itersize = 100
        cursor.execute("select a from tour_psycopg2 order by a")
        assert [row[0] for row in cursor] == list(range(1, 20002))
    held = connection.cursor("held", withhold=True)
    held.execute("select a from tour_psycopg2 order by a")
    connection.commit()
    assert held.fetchmany(2) == [(1,), (2,)]
    connection.commit()
    assert held.fetchone() == (3,)
    held.close()
    connection.commit()


def notifications(connection):
    with connection, connection.cursor() as cursor:
        cursor.execute("listen tour")
    with psycopg2.connect("") as other, other.cursor() as cursor:
        cursor.execute("notify tour, 'hello'")
    other.close()
    with connection, connection.cursor() as cursor:
        while not connection.notifies:
            cursor.execute("select 1")
        assert connection.notifies.pop().payload == "hello"
        cursor.execute("unlisten *")


def cancels(connection):
    with psycopg2.connect("") as other, other.cursor() as look, connection.cursor() as cursor:

        def cancel():
            seen = 0
            while not seen:
                look.execute(
                    "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'")
                seen = look.fetchone()[0]
                other.rollback()
            connection.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        fails(psycopg2.errors.QueryCanceled, cursor, "select pg_sleep(60)")
        thread.join()
    connection.rollback()
    other.close()


def tls(_):
    ca = os.environ["SLUICE_TOUR_CA"]
    secure = psycopg2.connect(sslmode="verify-full", sslrootcert=ca, channel_binding="require")
    assert secure.info.ssl_in_use
    with secure, secure.cursor() as cursor:
        cursor.execute("select repeat('x', 1000000)")
        assert len(cursor.fetchone()[0]) == 1000000
    secure.close()


def many(_):
    connections = [psycopg2.connect("") for _ in range(50)]
    servers, wrong = set(), []

    def use(number):
        connection = connections[number]
        for i in range(20):
            with connection, connection.cursor() as cursor:
                cursor.execute("select pg_backend_pid(), %s, %s", (number, i))
                pid, *rest = cursor.fetchone()
                servers.add(pid)
                if rest != [number, i]:
                    wrong.append((number, i, rest))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()
    assert not wrong and 1 <= len(servers) <= 5, (wrong, servers)


def main():
    connection = psycopg2.connect("")
    with connection, connection.cursor() as cursor:
        cursor.execute("drop table if exists tour_psycopg2")
    for part in (
        parameters, prepared, errors, copies, cursors, notifications, cancels, tls, many,
    ):
        part(connection)
        print(part.__name__)
    with connection, connection.cursor() as cursor:
        cursor.execute("drop table tour_psycopg2")
    connection.close()


main()
