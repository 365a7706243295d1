"""One suite for every frame log: each frame once, in order; alerts and offsets together; no zombie gets through."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError
from log_worlds import PARTITIONS, KafkaWorld, MemoryWorld, World, commit, next_offsets, serve, take

from inspector.adapters.kafka.connection import admin_client
from inspector.adapters.memory.broker import CommitFault
from inspector.domain.errors import BadInputError, ServiceUnavailableError
from inspector.pipeline.ports import CommitFailedError, FencedError, FrameLog, LogRecord, OutRecord, Ownership
from inspector.pipeline.reject_watch import MAX_NOTE_BYTES

# kafka-python leaves the socket of a refused connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:.*<socket:pytest.PytestUnraisableExceptionWarning")

CAMERAS = [f"cam{n}" for n in range(6)]


@pytest.fixture(autouse=True)
def refused_sockets_are_collected_here() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.services)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made: World
    if request.param == "memory":
        made = MemoryWorld()
    else:
        made = KafkaWorld(request.getfixturevalue("services").kafka_bootstrap)
    yield made
    made.close()


@pytest.fixture
def kafka(request: pytest.FixtureRequest) -> Iterator[KafkaWorld]:
    made = KafkaWorld(request.getfixturevalue("services").kafka_bootstrap)
    yield made
    made.close()


def publish(world: World, frames: int, start: int = 0) -> list[bytes]:
    values = [f"{CAMERAS[n % len(CAMERAS)]}/{n:05d}".encode() for n in range(start, start + frames)]
    for value in values:
        world.publish(value.decode().split("/")[0], value)
    return values


def reset(log: FrameLog) -> Mapping[tuple[str, int], str] | None:
    """Return the notes that come with a change of membership, None if there is none within some polls."""
    polls = (log.poll(0.1, 1) for _ in range(30))
    return next((polled.notes for polled in polls if polled.reset), None)


def values(records: list[LogRecord]) -> list[bytes]:
    return sorted(record.value or b"" for record in records)


def assert_visible(world: World, expected: list[bytes]) -> None:
    """A commit is decided when it returns; what shows it to readers is written to the partitions a moment later."""
    _until(lambda: len(world.seen(world.alerts)) >= len(expected), rounds=20)
    assert values(world.seen(world.alerts)) == sorted(expected)


def test_every_record_comes_once_and_each_camera_in_order(world: World) -> None:
    sent = publish(world, 30)
    log = world.open("1")
    records, _ = take(log, 30, max_records=7)
    assert values(records) == sorted(sent)
    for camera in CAMERAS:
        own = [record.value for record in records if record.key == camera.encode()]
        assert own == [value for value in sent if value.startswith(camera.encode())]
    assert log.poll(0.1, 7).records == ()
    log.close()


def test_a_poll_returns_no_more_than_asked_for(world: World) -> None:
    publish(world, 20)
    log = world.open("1")
    take(log, 1, max_records=1)
    assert len(log.poll(5, 3).records) in (1, 2, 3)
    log.close()


def test_alerts_and_offsets_become_visible_together(world: World) -> None:
    sent = publish(world, 12)
    log = world.open("1")
    records, ownership = take(log, 12)
    assert world.seen(world.alerts) == []
    commit(world, log, records, ownership)
    assert_visible(world, sent)
    log.close()
    more = publish(world, 3, start=12)
    again, _ = take(world.open("1"), 3)
    assert values(again) == sorted(more)


def test_notes_are_committed_with_the_offsets_and_come_back_to_the_next_owner(world: World) -> None:
    publish(world, 12)
    log = world.open("1")
    records, ownership = take(log, 12)
    places = next_offsets(records)
    notes = {place: f"{place[1]} " + "é" * (MAX_NOTE_BYTES // 2 - 2) for place in places}
    log.commit(ownership, places, [], notes)
    assert reset(log) is None  # our own notes need no reminder while we own the partitions
    world.fail_next_commit(log, CommitFault.BEFORE)
    publish(world, 3, start=12)
    more, ownership = take(log, 3)
    with pytest.raises(CommitFailedError):
        log.commit(ownership, next_offsets(more), [], dict.fromkeys(places, "never seen"))
    log.rebuild()
    assert (reset(log) or {}).items() >= notes.items()
    more, ownership = take(log, 3)
    log.commit(ownership, next_offsets(more), [])
    log.close()
    left = {place: note for place, note in notes.items() if place not in next_offsets(more)}
    assert {place: note for place, note in (reset(world.open("1")) or {}).items() if note} == left


@pytest.mark.parametrize("fault", list(CommitFault))
def test_after_a_failed_commit_and_a_rebuild_every_frame_has_one_alert(world: World, fault: CommitFault) -> None:
    sent = publish(world, 12)
    log = world.open("1")
    records, ownership = take(log, 12)
    world.fail_next_commit(log, fault)
    with pytest.raises(CommitFailedError):
        commit(world, log, records, ownership)
    log.rebuild()
    sent += publish(world, 3, start=12)
    unseen = 15 if fault is CommitFault.BEFORE else 3
    again, ownership = take(log, unseen)
    assert len(again) == unseen
    commit(world, log, again, ownership)
    assert_visible(world, sent)


def test_a_commit_under_a_membership_that_is_gone_shows_nothing(world: World) -> None:
    publish(world, 6)
    log = world.open("1")
    records, ownership = take(log, 6)
    with pytest.raises(CommitFailedError):
        commit(world, log, records, world.stale(ownership))
    assert world.seen(world.alerts) == []
    log.rebuild()
    again, ownership = take(log, 6)
    commit(world, log, again, ownership)
    assert_visible(world, values(records))


def test_nothing_goes_on_after_a_failed_commit_without_a_rebuild(world: World) -> None:
    publish(world, 2)
    log = world.open("1")
    records, ownership = take(log, 2)
    world.fail_next_commit(log, CommitFault.BEFORE)
    with pytest.raises(CommitFailedError):
        commit(world, log, records, ownership)
    with pytest.raises(RuntimeError, match="rebuild"):
        log.poll(0, 1)
    with pytest.raises(RuntimeError, match="rebuild"):
        commit(world, log, records, ownership)


def test_offsets_alone_can_be_committed(world: World) -> None:
    publish(world, 6)
    log = world.open("1")
    records, ownership = take(log, 6)
    log.commit(ownership, next_offsets(records), [])
    log.rebuild()
    more = publish(world, 2, start=6)
    again, _ = take(log, 2)
    assert values(again) == sorted(more)


def test_a_new_member_resets_the_old_one_and_both_share_the_work(world: World) -> None:
    first = world.open("1")
    sent = publish(world, 10)
    _, before = take(first, 10)  # taken, not committed: must come again after the reset
    second = world.open("2")
    resets = 0
    settled = [False, False]
    for _ in range(300):
        polled = first.poll(0.1, 100)
        resets += polled.reset
        if polled.records and polled.ownership is not None:
            assert polled.ownership.generation > before.generation
            commit(world, first, polled.records, polled.ownership)
        settled = [polled.ownership is not None and not polled.reset, serve(world, second)]
        if all(settled) and resets and len(world.seen(world.alerts)) >= 10:
            break
    sent += publish(world, 20, start=10)
    for _ in range(300):
        serve(world, first)
        serve(world, second)
        if len(world.seen(world.alerts)) >= 30:
            break
    assert resets >= 1
    assert values(world.seen(world.alerts)) == sorted(sent)


def test_a_worker_stopped_past_its_session_and_continued_repeats_nothing(world: World) -> None:
    sent = publish(world, 60)
    zombie = world.open("1")
    held, old = take(zombie, 5, max_records=5)  # more of them wait in its client
    resume = world.stop_past_session(zombie)
    heir = world.open("2")
    _until(lambda: serve(world, heir, 7) and len(world.seen(world.alerts)) == 60)
    resume()
    with pytest.raises(CommitFailedError):
        commit(world, zombie, held[:5], old)
    zombie.rebuild()
    sent += publish(world, 12, start=60)

    def both() -> bool:
        serve(world, zombie, 7)
        serve(world, heir, 7)
        return len(world.seen(world.alerts)) >= 72

    _until(both)
    assert values(world.seen(world.alerts)) == sorted(sent)


def test_a_worker_that_wakes_up_with_records_in_its_client_throws_them_away(world: World) -> None:
    sent = publish(world, 60)
    zombie = world.open("1")
    take(zombie, 5, max_records=5)
    resume = world.stop_past_session(zombie)
    heir = world.open("2")
    _until(lambda: serve(world, heir, 7) and len(world.seen(world.alerts)) == 60)
    heir.close()
    resume()
    sent += publish(world, 12, start=60)

    def alone() -> bool:
        # What it hands out before it learns of its death bears the old membership, and the commit fails.
        try:
            serve(world, zombie, 7)
        except CommitFailedError:
            zombie.rebuild()
        return len(world.seen(world.alerts)) >= 72

    _until(alone)
    assert values(world.seen(world.alerts)) == sorted(sent)


def test_the_newer_inspector_of_a_name_fences_the_older(world: World) -> None:
    publish(world, 6)
    older = world.open("1")
    records, ownership = take(older, 6)
    world.open("1")
    with pytest.raises(FencedError):
        commit(world, older, records, ownership)
    assert world.seen(world.alerts) == []


def test_paused_partitions_stay_silent_until_resumed_even_across_a_reset(world: World) -> None:
    publish(world, 6)
    log = world.open("1")
    take(log, 6)
    log.pause()
    sent = publish(world, 6, start=6)
    assert [log.poll(0.1, 10).records for _ in range(5)] == [()] * 5
    log.rebuild()
    _until(lambda: log.poll(0.1, 10).reset)
    assert [log.poll(0.1, 10).records for _ in range(5)] == [()] * 5
    log.resume()
    records, _ = take(log, 12)
    assert set(sent) < set(values(records))


def test_lag_counts_what_is_not_polled_yet(world: World) -> None:
    publish(world, 10)
    log = world.open("1")
    records, _ = take(log, 10)
    assert len(records) == 10
    assert set(log.lag().values()) == {0}


def test_an_unknown_topic_is_said_so(world: World) -> None:
    with pytest.raises(BadInputError, match="inspector topics create"):
        world.open("1", frames="no-such-topic")


def test_brokers_that_are_away_are_said_so(world: World) -> None:
    with pytest.raises(ServiceUnavailableError):
        world.unreachable(lambda: world.open("1"))


@pytest.mark.services
def test_kafka_checks_the_future_of_every_record(kafka: KafkaWorld) -> None:
    world = kafka
    publish(world, 3)
    log = world.open("1")
    records, ownership = take(log, 3)
    producer = log._producer  # type: ignore[attr-defined]  # KafkaFrameLog's own
    send = producer.send

    def send_and_lose_the_second(topic: str, **record: object) -> object:
        future = send(topic, **record)
        return _Expired() if record["value"] == records[1].value else future

    producer.send = send_and_lose_the_second
    with pytest.raises(CommitFailedError):
        commit(world, log, records, ownership)
    assert world.seen(world.alerts) == []


@pytest.mark.services
def test_kafka_hands_out_records_larger_than_the_limits(kafka: KafkaWorld) -> None:
    world = kafka
    world.publish("cam0", b"x" * 900_000)
    world.publish("cam0", b"y")
    records, _ = take(world.open("1"), 2)
    assert [len(record.value or b"") for record in records] == [900_000, 1]


@pytest.mark.services
def test_kafka_refuses_a_record_that_no_repeat_would_make_smaller(kafka: KafkaWorld) -> None:
    world = kafka
    publish(world, 1)
    log = world.open("1")
    records, ownership = take(log, 1)
    with pytest.raises(BadInputError, match=r"max\.message\.bytes"):
        log.commit(ownership, next_offsets(records), [OutRecord(world.alerts, b"k", b"x" * 5_000_000)])


def settled(log: FrameLog, done: Callable[[Ownership], bool], work_s: float = 0.0) -> list[Ownership]:
    """Poll as a busy worker does, 5 ms and some work, until ``done``; return the memberships it went through."""
    seen: list[Ownership] = []
    work = threading.Event()

    def one_round() -> bool:
        polled = log.poll(0.005, 8)
        work.wait(work_s)
        if polled.ownership is None:
            return False
        if polled.reset:
            seen.append(polled.ownership)
        return done(polled.ownership)

    _until(one_round, rounds=4_000)
    return seen


@pytest.mark.services
def test_kafka_lets_a_member_that_polls_briefly_join_once_and_stay(kafka: KafkaWorld) -> None:
    log = kafka.open("1")
    rounds = itertools.count()
    # Longer than the metadata and the group would need to make it join again.
    memberships = settled(log, lambda _: next(rounds) >= 300, work_s=0.01)
    assert [ownership.generation for ownership in memberships] == [1]


@pytest.mark.services
def test_kafka_gives_new_partitions_of_the_topic_to_a_member_that_polls_briefly(kafka: KafkaWorld) -> None:
    log: Any = kafka.open("1")
    log._consumer._cluster.config["metadata_max_age_ms"] = 500  # five minutes otherwise
    assert len(settled(log, lambda _: True)) == 1
    with admin_client(kafka.connection) as admin:
        admin.create_partitions({kafka.frames: PARTITIONS + 2})
    memberships = settled(log, lambda _: len(log._consumer.assignment()) == PARTITIONS + 2, work_s=0.01)
    assert [ownership.generation for ownership in memberships][-1:] == [2]
    kafka.publish_to(PARTITIONS + 1, b"on a new partition")
    assert values(take(log, 1)[0]) == [b"on a new partition"]


class _Expired:
    def get(self, timeout: float) -> None:
        raise KafkaTimeoutError("the batch expired")


def _until(done: Callable[[], bool], rounds: int = 600) -> None:
    for _ in range(rounds):
        if done():
            return
    raise AssertionError("it did not happen")
