"""How sentinels are named in ``redis.url``: what is read from it, and that nothing of a bad one is shown."""

from __future__ import annotations

import threading
import traceback

import pytest
from redis.connection import SSLConnection
from redis.exceptions import NoPermissionError
from redis.sentinel import MasterNotFoundError, Sentinel

from inspector.adapters.redis.connection import RedisAccess, address, connect
from inspector.adapters.redis.sentinel import ask_each, pool_of, primary_client, read_url
from inspector.domain.errors import BadInputError

SECRET = "s3cret-pass"


def test_hosts_service_database_user_and_options_are_read() -> None:
    read = read_url("redis+sentinel://line:pa%2Fss%40@a.plant:26380,b,[fd00::1]:26381/main%20line/3?client_name=x")
    assert list(read.sentinels) == [("a.plant", 26380), ("b", 26379), ("fd00::1", 26381)]
    assert (read.service, read.tls) == ("main line", False)
    assert dict(read.options) == {"username": "line", "password": "pa/ss@", "db": 3, "client_name": "x"}


def test_a_database_a_port_and_a_user_may_be_left_out() -> None:
    read = read_url("rediss+sentinel://a/line")
    assert (list(read.sentinels), read.service, read.tls, dict(read.options)) == (
        [("a", 26379)], "line", True, {"db": 0},
    )  # fmt: skip
    assert dict(read_url(f"redis+sentinel://:{SECRET}@a/line").options) == {"password": SECRET, "db": 0}


@pytest.mark.parametrize(
    "url",
    [
        f"redis+sentinel://u:{SECRET}@a:26379",
        f"redis+sentinel://u:{SECRET}@a:26379/",
        f"redis+sentinel://u:{SECRET}@/line",
        f"redis+sentinel://u:{SECRET}@a:26379,/line",
        f"redis+sentinel://u:{SECRET}@a:port/line",
        f"redis+sentinel://u:{SECRET}@a:0/line",
        f"redis+sentinel://u:{SECRET}@a:65536/line",
        f"redis+sentinel://u:{SECRET}@a/line/first",
        f"redis+sentinel://u:{SECRET}@a/line/0/1",
        f"redis+sentinel://u:{SECRET}/x@a/line",
        f"redis+sentinel://u:{SECRET}@x@a/line",
        f"redis+sentinel://u:{SECRET}#@a/line",
        f"redis+sentinel://u:{SECRET}?@a/line",
        f"redis+sentinel://u:[{SECRET}@a/line",
        f"redis+sentinel://u:p@a/line?socket_timeout={SECRET}",
        f"redis+sentinel://u:{SECRET}@a b/line",
        f"redis+sentinel://u:{SECRET}@a/line?min_other_sentinels=1",
        f"redis+sentinel://a/line?sentinel_kwargs={SECRET}",
        f"redis+sentinel://u:{SECRET}@a/line?retry=3&ssl=true",
        f"Redis+Sentinel://u:{SECRET}@a/line",
        f"sentinel://u:{SECRET}@a/line",
    ],
)
def test_a_url_that_cannot_be_read_is_told_and_not_shown(url: str) -> None:
    with pytest.raises(BadInputError) as caught:
        connect(url)
    assert "redis+sentinel://USER:PASSWORD@HOST1:26379" in caught.value.expected
    assert SECRET not in "".join(traceback.format_exception(caught.value))  # as a log would show it


def test_where_a_client_connects_to_is_told_without_who_we_are() -> None:
    url = f"redis+sentinel://line:{SECRET}@a,b:1/line"
    client = primary_client(url, 1.0, {}, {"username": "watcher", "password": f"{SECRET}-2"})
    assert address(client) == "service line (primary not known yet; sentinels a:26379, b:1)"
    client.close()


@pytest.mark.parametrize(
    ("url", "access"),
    [
        ("redis://a/0", RedisAccess(sentinel_password=SECRET)),
        ("rediss://a/0", RedisAccess(sentinel_username="watcher")),
    ],
)
def test_a_secret_for_sentinels_is_not_left_out_silently(url: str, access: RedisAccess) -> None:
    with pytest.raises(BadInputError, match="sentinel_username or _password") as caught:
        connect(url, access=access)
    assert SECRET not in str(caught.value) + repr(access)


def test_tls_goes_to_servers_and_sentinels_alike() -> None:
    options = {"ssl_ca_certs": "/etc/ca.pem", "password": "for-servers"}
    client = primary_client("rediss+sentinel://a/line?ssl_check_hostname=false", 1.0, options, {"password": "p"})
    pool = pool_of(client)
    assert pool is not None
    asked = pool.sentinel_manager.sentinels[0].connection_pool
    for each in (pool, asked):
        assert issubclass(each.connection_class, SSLConnection)
        assert each.connection_kwargs["ssl_ca_certs"] == "/etc/ca.pem"
        assert each.connection_kwargs["ssl_check_hostname"] is False
    assert (pool.connection_kwargs["password"], asked.connection_kwargs["password"]) == ("for-servers", "p")
    client.close()


def test_threads_that_look_for_the_primary_at_once_lose_no_sentinel(monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-py's own search swaps places in a list that all threads share."""
    client = primary_client("redis+sentinel://a,b,c/line", 1.0, {}, {})
    pool = pool_of(client)
    assert pool is not None
    both = threading.Barrier(2, timeout=10)

    def knows(sentinel: object, state: object, service: str) -> bool:
        return True

    def masters(self: object, *_: object) -> dict[str, object]:
        place = self.connection_pool.connection_kwargs["host"]  # type: ignore[attr-defined]
        if place == "a":
            return {}
        both.wait()
        return {"line": {"ip": "p", "port": 1}}

    monkeypatch.setattr("redis.Redis.sentinel_masters", masters)
    monkeypatch.setattr(Sentinel, "check_master_state", knows)
    threads = [threading.Thread(target=pool.sentinel_manager.discover_master, args=("line",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.connection_pool.connection_kwargs["host"] for each in pool.sentinel_manager.sentinels) == [
        "a", "b", "c",
    ]  # fmt: skip
    client.close()


def test_a_sentinel_that_refuses_a_command_is_one_that_knows_no_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise NoPermissionError("this user has no permissions to run the 'sentinel|masters' command")

    client = primary_client("redis+sentinel://a/line", 1.0, {}, {})
    pool = pool_of(client)
    assert pool is not None
    monkeypatch.setattr("redis.Redis.sentinel_masters", refused)
    with pytest.raises(MasterNotFoundError):
        pool.get_master_address()
    assert [str(answer) for answer in ask_each(pool)] == [
        "a:26379 refuses to tell (this user has no permissions to run the 'sentinel|masters' command)"
    ]
    client.close()
