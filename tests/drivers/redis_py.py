"""redis-py's tour."""
import os
import sys
import threading

try:
    import redis
except ImportError:
    print("there is no redis-py")
    sys.exit(77)

PORT = int(os.environ["SLUICE_TOUR_PORT"])


def key(name):
    return f"redis-py:{name}"


def plain(client):
    client.flushdb()
    assert client.set(key("a"), "1", ex=100) and client.get(key("a")) == "1"
    assert client.get(key("none")) is None
    assert client.hset(key("h"), mapping={"x": 1, "y": 2}) == 2
    assert client.hgetall(key("h")) == {"x": "1", "y": "2"}
    assert client.rpush(key("l"), *range(1000)) == 1000
    assert client.lrange(key("l"), 0, -1) == [str(i) for i in range(1000)]
    assert sorted(client.scan_iter(key("*"))) == sorted(map(key, "ahl"))
    big = "x" * 3_000_000
    assert client.set(key("big"), big) and client.get(key("big")) == big
    try:
        client.incr(key("h"))
        raise AssertionError("no error")
    except redis.ResponseError as error:
        assert "WRONGTYPE" in str(error), error


def pipelines(client):
    pipe = client.pipeline(transaction=False)
    for i in range(500):
        pipe.set(key(f"p{i}"), i).get(key(f"p{i}"))
    assert pipe.execute() == [part for i in range(500) for part in (True, str(i))]
    pipe = client.pipeline()
    pipe.set(key("t"), 0).incr(key("t")).incrby(key("t"), 10)
    assert pipe.execute() == [True, 1, 11]


def transactions(client):
    with client.pipeline() as pipe:
        pipe.watch(key("t"))
        client.set(key("t"), "changed")
        pipe.multi()
        pipe.set(key("t"), "mine")
        try:
            pipe.execute()
            raise AssertionError("no WatchError")
        except redis.WatchError:
            pass
    assert client.get(key("t")) == "changed"

    def append(pipe):
        pipe.multi()
        pipe.append(key("t"), "!")

    assert client.transaction(append, key("t")) == [8]


def scripts(client):
    script = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    assert script(keys=[key("s")], args=[5]) == 5
    assert script(keys=[key("s")], args=[5]) == 10


def blocking(client):
    pusher = threading.Thread(target=lambda: client.rpush(key("queue"), "job"))
    pusher.start()
    assert client.blpop(key("queue"), timeout=20) == (key("queue"), "job")
    pusher.join()
    assert client.blpop(key("nothing"), timeout=1) is None


def subscriptions(client):
    with client.pubsub() as pubsub:
        pubsub.subscribe(key("news"))
        pubsub.psubscribe(key("n*"))
        kinds = [pubsub.get_message(timeout=20)["type"] for _ in range(2)]
        assert kinds == ["subscribe", "psubscribe"], kinds
        assert client.publish(key("news"), "hello") == 2
        kinds = sorted(pubsub.get_message(timeout=20)["type"] for _ in range(2))
        assert kinds == ["message", "pmessage"], kinds
        pubsub.unsubscribe()
        pubsub.punsubscribe()


def identities(client):
    client.acl_setuser(
        "redis-py", enabled=True, passwords=["+secret"], keys=["redis-py:*"], commands=["+@all"],
        reset=True,
    )
    other = redis.Redis(
        port=PORT, username="redis-py", password="secret", db=3, client_name="tour",
        decode_responses=True,
    )
    assert other.acl_whoami() == "redis-py" and client.acl_whoami() == "default"
    assert other.client_getname() == "tour"
    assert other.set(key("db"), 3) and client.get(key("db")) is None
    try:
        other.get("foreign")
        raise AssertionError("no error")
    except redis.exceptions.NoPermissionError:
        pass
    other.delete(key("db"))
    other.close()
    client.acl_deluser("redis-py")


def main():
    client = redis.Redis(port=PORT, db=11, decode_responses=True)
    for part in (
        plain, pipelines, transactions, scripts, blocking, subscriptions, identities,
    ):
        part(client)
        print(part.__name__)
    client.flushdb()
    client.close()


main()
