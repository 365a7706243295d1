"""Redis behind Sentinel: real servers, a primary that is killed, and what a client and a line make of it."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from findings import Kind
from local_services import Services
from sentinel_servers import SERVICE, SentinelServers, sentinel_servers
from small_line import SmallLine, small_line

from inspector.adapters.redis.artefacts import RedisArtefactStore
from inspector.adapters.redis.connection import RedisAccess, address, connect
from inspector.adapters.redis.decode_marks import RedisDecodeMarks
from inspector.adapters.redis.doctor import check
from inspector.adapters.redis.result_store import RedisResultStore
from inspector.adapters.redis.retention import Retention
from inspector.adapters.redis.rollout_store import RedisRolloutStore
from inspector.adapters.redis.sentinel import every_server
from inspector.adapters.redis.trainer_lock import Busy, KeptLease, Lease, TrainerLock
from inspector.domain.errors import BadInputError, CredentialsError, InspectorError, ServiceUnavailableError
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Evidence, Inspected
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.ports import StoreStatus

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

TIMEOUT_S = 2.0
FRAMES = 3_000
UNHEARD_S = 1.0
REPAIR = Path(__file__).resolve().parent.parent / "chaos" / "scenario_repair.py"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelServers]:
    """A primary, one replica and three sentinels; a test that breaks some starts them again."""
    with sentinel_servers(tmp_path_factory.mktemp("sentinel")) as made:
        yield made


@pytest.fixture
def access(servers: SentinelServers) -> RedisAccess:
    return RedisAccess(sentinel_password=servers.password)


@pytest.fixture
def client(servers: SentinelServers, access: RedisAccess) -> Iterator[redis.Redis]:
    made = connect(servers.url, timeout_s=TIMEOUT_S, access=access)
    yield made
    made.close()


def refusal(url: str, access: RedisAccess) -> InspectorError:
    with pytest.raises(InspectorError) as caught:
        connect(url, timeout_s=TIMEOUT_S, access=access)
    assert "hunter2" not in str(caught.value)
    return caught.value


def test_a_closed_client_leaves_no_socket_open(servers: SentinelServers, access: RedisAccess) -> None:
    before = len(os.listdir("/proc/self/fd"))
    gc.disable()  # what it would close some day is open until then
    try:
        connect(servers.url, access=access).close()
        assert len(os.listdir("/proc/self/fd")) <= before
    finally:
        gc.enable()


def test_who_cannot_prove_who_he_is_to_the_sentinels_is_told_which_setting_it_is(servers: SentinelServers) -> None:
    for access in (RedisAccess(), RedisAccess(sentinel_password="hunter2")):
        error = refusal(servers.url, access)
        assert isinstance(error, CredentialsError)
        assert "redis.sentinel_username and sentinel_password_file" in error.do
        assert all(each.address in error.got for each in servers.sentinels)


def test_a_service_that_no_sentinel_knows_is_told_with_those_they_know(
    servers: SentinelServers, access: RedisAccess
) -> None:
    error = refusal(servers.url.replace(f"/{SERVICE}/", "/another/"), access)
    assert isinstance(error, BadInputError)
    assert f"it knows {SERVICE}" in error.got


def test_sentinels_that_are_away_are_waited_for(servers: SentinelServers, access: RedisAccess) -> None:
    error = refusal(f"redis+sentinel://u:hunter2@127.0.0.1:1,{servers.redis[0].address}/{SERVICE}", access)
    assert isinstance(error, ServiceUnavailableError)
    assert "127.0.0.1:1 does not answer" in error.got
    assert f"{servers.redis[0].address} is no sentinel" in error.got


def test_one_sentinel_is_enough_to_find_the_primary(servers: SentinelServers, access: RedisAccess) -> None:
    made = connect(f"redis+sentinel://127.0.0.1:1,127.0.0.1:2,{servers.sentinels[0].address}/{SERVICE}", access=access)
    assert f"primary {_primary(servers)}" in address(made)
    made.close()


def test_what_the_primary_refuses_is_told_as_without_sentinels(servers: SentinelServers, access: RedisAccess) -> None:
    error = refusal(servers.url.replace("://", "://nobody:hunter2@"), access)
    assert isinstance(error, CredentialsError)
    assert "redis.username and password" in error.do


def test_doctor_names_the_primary_and_the_sentinels(servers: SentinelServers, access: RedisAccess) -> None:
    told = check(servers.url, timeout_s=TIMEOUT_S, access=access)
    assert told.findings == ()
    assert f"primary {_primary(servers)}" in told.place
    assert all(each.address in told.place for each in servers.sentinels)
    away = servers.sentinels[0].address
    told = check(servers.url.replace(away, "127.0.0.1:1"), timeout_s=TIMEOUT_S, access=access)
    assert len(told.findings) == 1
    assert "127.0.0.1:1 does not answer" in told.findings[0]


def test_what_is_each_servers_own_can_be_given_to_all(client: redis.Redis) -> None:
    """Users (ACL) are not copied to replicas; `access.py` makes them on every server."""
    found = every_server(client)
    try:
        assert sorted(each.role()[0] for each in found) == [b"master", b"slave"]
    finally:
        for replica in found[1:]:
            replica.close()


def test_a_primary_that_takes_nothing_for_want_of_replicas_is_not_held_on_to(client: redis.Redis) -> None:
    """There may be another one, to which the old one's connections do not lead."""
    before = client.client_id()
    client.config_set("min-replicas-to-write", "5")
    try:
        with pytest.raises(ServiceUnavailableError, match="the sentinels are asked anew"):
            RedisResultStore(client, group_id="few", retention=Retention()).store([_result(21)], 3)
        assert client.client_id() != before
    finally:
        client.config_set("min-replicas-to-write", "0")


def test_a_client_finds_the_new_primary_and_goes_on(
    servers: SentinelServers, client: redis.Redis, access: RedisAccess, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scripts are unknown to it, what waited for the replica is there, and the trainer's lock is still its holder's."""
    store = RedisResultStore(client, group_id="g", retention=Retention())
    marks, lock = RedisDecodeMarks(client, group_id="g"), TrainerLock(client, life_s=600)
    artefacts, rollouts = RedisArtefactStore(client), RedisRolloutStore(client)
    other = connect(servers.url, timeout_s=TIMEOUT_S, access=access)
    assert list(store.store([_result(1)], 3)) == [StoreStatus.STORED]
    marks.mark([FrameSource("frames", 0, 2)], 3)
    lease = lock.take("one")
    assert isinstance(lease, Lease)
    version = artefacts.put(b"a bank")
    rollouts.veto("v1", "worse", "a")

    old = servers.kill_primary()
    killed_at = time.monotonic()
    _until_taken(lambda: store.store([_result(2)], 3))
    pause_s = time.monotonic() - killed_at
    with capsys.disabled():
        print(f"\nRedis Sentinel: a client's pause after its primary was killed: {pause_s:.1f} s")

    assert old.address not in address(client).partition(";")[0]
    assert list(store.store([_result(2)], 2)) == [StoreStatus.FENCED]
    assert [each.deaths for each in marks.mark([FrameSource("frames", 0, 3)], 3)] == [0]
    assert artefacts.get(version) == b"a bank"
    assert rollouts.vetoes(["v1"]) == {"v1": "worse"}
    _until_taken(lambda: other.ping() or True)
    _nothing_is_promised_without_a_replica(client, lease)
    servers.start()
    with KeptLease(lock, lease) as held:
        held.confirm()
        assert isinstance(TrainerLock(other, life_s=600).take("one"), Busy)
    assert artefacts.put(b"another bank")
    other.close()


def _nothing_is_promised_without_a_replica(client: redis.Redis, lease: Lease) -> None:
    """The old primary is gone, and with it the only other copy: results are taken, what nobody repairs is not."""
    assert list(RedisResultStore(client, group_id="g", retention=Retention()).store([_result(4)], 3)) == [
        StoreStatus.STORED
    ]
    with pytest.raises(ServiceUnavailableError, match="a replica of Redis"):
        RedisArtefactStore(client).put(b"lost with the primary")
    with pytest.raises(ServiceUnavailableError, match="a replica of Redis"):
        TrainerLock(client, life_s=600).keep(lease)


@pytest.mark.long
def test_a_primary_that_hangs_is_left_and_comes_back_as_a_replica(
    servers: SentinelServers, client: redis.Redis
) -> None:
    """It answers nobody and refuses nobody; when it wakes it takes itself for the primary until a sentinel tells it."""
    store = RedisResultStore(client, group_id="hang", retention=Retention())
    lock = TrainerLock(client, life_s=600)
    lease = lock.take("hang")
    assert isinstance(lease, Lease)
    old = next(server for server in servers.redis if server.address == _primary(servers))
    old.send(signal.SIGSTOP)
    try:
        _until_taken(lambda: store.store([_result(11)], 3))
    finally:
        old.send(signal.SIGCONT)
    assert list(store.store([_result(12)], 3)) == [StoreStatus.STORED]
    assert old.address not in address(client).partition(";")[0]
    servers.wait_for(servers.is_whole)
    assert lock.keep(lease)
    assert lock.leave(lease)
    with redis.Redis("127.0.0.1", old.port) as woken:
        assert woken.role()[0] == b"slave"
        assert woken.exists("inspection:result:f11", "inspection:result:f12") == 2


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_line_goes_on_by_itself_and_what_was_lost_is_scored_again(
    services: Services, tmp_path: Path, topic_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The primary is killed while frames flow, and no replica has what it acknowledged in its last second."""
    servers_dir, line_dir = tmp_path / "sentinel", tmp_path / "line"
    with sentinel_servers(servers_dir, password="") as servers, small_line(services, line_dir, topic_prefix) as line:
        _store_behind(line, servers)
        for replica in ("a", "b"):
            line.start(replica, "--plant=injected.one_version", "--score-ms=20")
        line.publish(FRAMES)
        line.line.wait_lag(round(FRAMES * 0.8))
        with _rivals(servers.url) as taken:
            servers.kill_primary(UNHEARD_S)
            pause_s = _longest_pause_s(line)
            servers.start()  # the old one comes back, as a replica
            line.line.wait_drained(400)
            assert len(taken) == 1, "the lock was held twice, or by nobody"
        line.line.stop()
        damaged, repaired, mended = line.check(), _repair(line), line.check()
    with capsys.disabled():
        print(
            f"\nRedis Sentinel: the line stood still for {pause_s:.1f} s; of {FRAMES} frames "
            f"{damaged[Kind.MISSING_RESULT]} had lost their results; repaired: {repaired}"
        )
    assert damaged[Kind.MISSING_RESULT] > 0, "the failover took nothing: nothing was shown"
    assert damaged.counts.total() == damaged[Kind.MISSING_RESULT], damaged.summary()
    assert mended.clean, mended.summary()
    assert mended.results == FRAMES


def _store_behind(line: SmallLine, servers: SentinelServers) -> None:
    settings = json.loads(line.line.config.read_text())
    line.line.config.write_text(json.dumps(settings | {"redis": {"url": servers.url, "timeout_s": TIMEOUT_S}}))


@contextlib.contextmanager
def _rivals(url: str) -> Iterator[list[Lease]]:
    """Two trainers of one name that want the lock all the time; yields the leases they were given."""
    taken: list[Lease] = []
    over = threading.Event()

    def want() -> None:
        with connect(url, timeout_s=TIMEOUT_S) as client:
            lock = TrainerLock(client, life_s=600)
            while not over.wait(0.1):
                with contextlib.suppress(ServiceUnavailableError):
                    answer = lock.take("host")
                    if isinstance(answer, Lease):
                        taken.append(answer)

    threads = [threading.Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        while not taken:
            time.sleep(0.05)
        yield taken
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _longest_pause_s(line: SmallLine) -> float:
    """Watch the line until it has got well on; return the longest time in which nothing was committed."""
    begun = line.line.lag() or FRAMES
    seen, moved_at, longest_s = begun, time.monotonic(), 0.0
    deadline = time.monotonic() + 120
    while seen > begun - FRAMES // 10:
        assert time.monotonic() < deadline, line.line.logs()
        now = line.line.lag()
        if now is not None and now < seen:
            seen, moved_at = now, time.monotonic()
        longest_s = max(longest_s, time.monotonic() - moved_at)
        time.sleep(0.1)
    return longest_s


def _repair(line: SmallLine) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, str(REPAIR), "-c", str(line.line.config)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    repaired: dict[str, int] = json.loads(done.stdout)["repaired"]
    return repaired


def _primary(servers: SentinelServers) -> str:
    primary = servers.primary()
    assert primary is not None
    return primary.address


def _until_taken(call: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            call()
        except (ServiceUnavailableError, redis.ConnectionError):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def _result(offset: int) -> Inspected:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    source = FrameSource("frames", 0, offset)
    result = InspectionResult(
        f"f{offset}", "cam", "line", "plate", now, now, 0.9, PredLabel.ANOMALOUS, 0.5, ScoreMode.BANK, "w", "m", source,
        {}, 1280, 1024,
    )  # fmt: skip
    return Inspected(source, result, None, Evidence())
