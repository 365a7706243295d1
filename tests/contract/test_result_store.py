"""One suite for every result store: idempotent upserts, the first holder of a frame id wins, no older owner does."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspector.adapters.memory.store import MemoryResultStore
from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.result_store import RedisResultStore
from inspector.adapters.redis.results import RedisResults
from inspector.adapters.redis.retention import Retention
from inspector.domain.defect import Box, Defect, Point
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Evidence, Inspected
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.ports import StoreStatus

STORED, DUPLICATE, FENCED = StoreStatus.STORED, StoreStatus.DUPLICATE, StoreStatus.FENCED
START = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
CAMERA = "cam: 1 é"
NO_EVIDENCE = Evidence()
WIDE = Retention()
SCRATCH = Defect("scratch", 0.9, 700, 40, 0.01, Box(1, 2, 3, 4), (Point(1, 2), Point(4, 2), Point(4, 6)), "a scratch")


@dataclass
class Subject:
    """A store, its readers, and the order in which a camera's frames arrived."""

    store: Any
    read: Any
    arrivals: Callable[[str], list[str]]
    prefix: str

    def result(
        self,
        frame: str,
        offset: int,
        *,
        partition: int = 0,
        defect: bool = False,
        score: float = 0.25,
        camera: str = CAMERA,
        evidence: Evidence = NO_EVIDENCE,
        clock_ahead: timedelta = timedelta(0),
    ) -> Inspected:
        source = FrameSource("frames", partition, offset)
        result = InspectionResult(
            frame_id=self.prefix + frame,
            camera_id=self.prefix + camera,
            line_id="line-1",
            product="plate",
            captured_at=START + timedelta(milliseconds=offset) + clock_ahead,
            inspected_at=START + timedelta(seconds=1),
            anomaly_score=score,
            pred_label=PredLabel.ANOMALOUS if defect else PredLabel.NORMAL,
            image_threshold=0.5,
            mode=ScoreMode.BANK,
            weights_version="w1",
            model="m",
            source=source,
            timings_ms={"score": 1.5},
            width_px=1280,
            height_px=1024,
            defects=(SCRATCH,) if defect else (),
        )
        return Inspected(source, result, None, evidence)

    def last(self, n: int = 100, *, defects_only: bool = False, camera: str = CAMERA) -> list[str]:
        results = self.read.last(self.prefix + camera, n, defects_only)
        return [result.frame_id.removeprefix(self.prefix) for result in results]

    def stored(self, frame: str) -> InspectionResult | None:
        found: InspectionResult | None = self.read.get(self.prefix + frame)
        return found


def memory_subject(keep: int | None = None) -> Subject:
    store = MemoryResultStore(keep)
    return Subject(store, store, lambda camera: store.arrivals, "")


def redis_subject(url: str, retention: Retention = WIDE) -> Subject:
    client = connect(url)
    prefix = f"t-{uuid.uuid4().hex[:12]}-"
    store = RedisResultStore(client, group_id=f"{prefix}group", retention=retention)

    def arrivals(camera: str) -> list[str]:
        entries = client.xrange(keys.stream(prefix + camera))
        return [fields[b"frame_id"].decode().removeprefix(prefix) for _, fields in entries]

    return Subject(store, RedisResults(client), arrivals, prefix)


def close(subject: Subject) -> None:
    client = getattr(subject.store, "_client", None)
    if client is not None:
        client.close()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
def new_subject(request: pytest.FixtureRequest) -> Iterator[Callable[[], Subject]]:
    made: list[Subject] = []

    def make() -> Subject:
        if request.param == "memory":
            made.append(memory_subject())
        else:
            made.append(redis_subject(request.getfixturevalue("services").redis_url))
        return made[-1]

    yield make
    for subject in made:
        close(subject)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
def keeps_three(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """A store that keeps three results of a camera and a verdict."""
    if request.param == "memory":
        yield memory_subject(keep=3)
        return
    retention = Retention(good_per_camera=3, defect_per_camera=3)
    subject = redis_subject(request.getfixturevalue("services").redis_url, retention)
    yield subject
    close(subject)


def test_a_camera_whose_clock_is_years_ahead_pushes_no_later_result_out(keeps_three: Subject) -> None:
    store = keeps_three.store
    ahead = timedelta(days=73 * 365)
    store.store([keeps_three.result(f"wrong{i}", i, clock_ahead=ahead) for i in range(3)], 1)
    assert keeps_three.last() == ["wrong2", "wrong1", "wrong0"]
    store.store([keeps_three.result(f"right{i}", 10 + i) for i in range(3)], 1)
    assert keeps_three.last() == ["right2", "right1", "right0"]


def test_a_frame_is_a_duplicate_also_when_its_first_result_is_trimmed(keeps_three: Subject) -> None:
    store = keeps_three.store
    store.store([keeps_three.result(f"g{i}", i) for i in range(4)], 1)
    assert keeps_three.stored("g0") is None
    assert list(store.store([keeps_three.result("g0", 9)], 1)) == [DUPLICATE]
    assert keeps_three.last() == ["g3", "g2", "g1"]
    # The same message again, as after a crash before its offset was committed, is no duplicate and no new arrival.
    assert list(store.store([keeps_three.result("g0", 0)], 1)) == [STORED]
    assert keeps_three.arrivals(CAMERA) == ["g0", "g1", "g2", "g3"]


@pytest.fixture
def subject(new_subject: Callable[[], Subject]) -> Subject:
    return new_subject()


def test_a_result_and_its_evidence_come_back_as_stored(subject: Subject) -> None:
    evidence = Evidence(frame=b"\xff\xd8frame", overlay=b"\xff\xd8overlay", mask=b"\x89PNG", regions=b"\x00\xffrows")
    good, bad = subject.result("a", 1), subject.result("b", 2, defect=True, evidence=evidence)
    assert list(subject.store.store([good, bad], 3)) == [STORED, STORED]
    assert subject.stored("a") == good.result
    assert subject.stored("b") == bad.result
    frame_id = bad.result.frame_id
    read = subject.read
    kept = Evidence(read.frame(frame_id), read.overlay(frame_id), read.mask(frame_id), read.regions(frame_id))
    assert kept == evidence
    assert read.overlay(good.result.frame_id) is None
    assert (subject.last(), subject.last(1), subject.last(defects_only=True)) == (["b", "a"], ["b"], ["b"])
    assert subject.arrivals(CAMERA) == ["a", "b"]


def test_the_last_results_up_to_a_moment(subject: Subject) -> None:
    subject.store.store([subject.result(f"f{i}", i, defect=i % 2 == 0) for i in range(6)], 1)
    results = subject.read.last(subject.prefix + CAMERA, 2, until=START + timedelta(milliseconds=3))
    assert [result.frame_id.removeprefix(subject.prefix) for result in results] == ["f3", "f2"]
    assert subject.read.last(subject.prefix + CAMERA, 2, until=START - timedelta(seconds=1)) == []


def test_nothing_is_a_batch_too(subject: Subject) -> None:
    assert list(subject.store.store([], 1)) == []


def test_repeating_a_result_overwrites_it_and_adds_nothing(subject: Subject) -> None:
    first = subject.result("a", 1, score=0.2)
    again = subject.result("a", 1, score=0.3)
    assert list(subject.store.store([first], 3)) == [STORED]
    assert list(subject.store.store([again, again], 4)) == [STORED, STORED]
    assert subject.stored("a") == again.result
    assert subject.last() == ["a"]
    assert subject.arrivals(CAMERA) == ["a"]


def test_a_new_verdict_moves_the_frame_and_drops_the_old_evidence(subject: Subject) -> None:
    evidence = Evidence(frame=b"f", overlay=b"o", mask=b"m", regions=b"r")
    subject.store.store([subject.result("a", 1, defect=True, evidence=evidence)], 1)
    subject.store.store([subject.result("a", 1, evidence=Evidence(frame=b"f2"))], 1)
    frame_id = subject.prefix + "a"
    assert (subject.last(), subject.last(defects_only=True)) == (["a"], [])
    read = subject.read
    assert (read.frame(frame_id), read.overlay(frame_id), read.mask(frame_id)) == (b"f2", None, None)
    assert read.regions(frame_id) is None
    subject.store.store([subject.result("a", 1, defect=True)], 1)
    assert (subject.last(), subject.last(defects_only=True)) == (["a"], ["a"])


@pytest.mark.parametrize("other", [{"offset": 2}, {"offset": 1, "partition": 1}])
def test_a_frame_id_held_by_another_offset_is_a_duplicate(subject: Subject, other: dict[str, int]) -> None:
    first = subject.result("a", 1, defect=True, evidence=Evidence(overlay=b"o"))
    second = subject.result("a", **other, score=0.9, camera="cam2")
    assert list(subject.store.store([first, second], 1)) == [STORED, DUPLICATE]
    assert list(subject.store.store([second], 5)) == [DUPLICATE]
    assert subject.stored("a") == first.result
    assert subject.read.overlay(first.result.frame_id) == b"o"
    assert subject.last(camera="cam2") == []


def test_an_older_owner_is_fenced_off_its_partition_only(subject: Subject) -> None:
    newer = subject.result("a", 1)
    assert list(subject.store.store([newer], 7)) == [STORED]
    older = [subject.result("a", 1, score=0.9), subject.result("b", 2), subject.result("c", 1, partition=1)]
    assert list(subject.store.store(older, 6)) == [FENCED, FENCED, STORED]
    assert subject.stored("a") == newer.result
    assert subject.stored("b") is None
    assert subject.last() == ["c", "a"]


def test_how_far_results_reach_is_told_and_no_older_owner_stores_after_that(subject: Subject) -> None:
    zero, one = ("frames", 0), ("frames", 1)
    assert subject.store.stored_up_to([zero, one], 1) == {zero: -1, one: -1}
    subject.store.store([subject.result("b", 2_000_000_000_007), subject.result("a", 3)], 2)
    assert subject.store.stored_up_to([zero, one], 5) == {zero: 2_000_000_000_007, one: -1}
    assert list(subject.store.store([subject.result("c", 2_000_000_000_009)], 4)) == [FENCED]
    assert subject.store.stored_up_to([zero], 3) == {zero: 2_000_000_000_007}  # asked by an older one: the fence stays
    assert list(subject.store.store([subject.result("c", 2_000_000_000_009)], 4)) == [FENCED]
    assert subject.store.stored_up_to([], 5) == {}


def test_a_duplicate_raises_the_fence_too(subject: Subject) -> None:
    subject.store.store([subject.result("a", 1)], 1)
    assert list(subject.store.store([subject.result("a", 2)], 5)) == [DUPLICATE]
    assert list(subject.store.store([subject.result("b", 3)], 4)) == [FENCED]


# (token, offset, frame, defect): few of each, so that writers meet.
WRITES = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 3), st.sampled_from("abc"), st.booleans(), st.integers(0, 1)),
    max_size=14,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=WRITES)
def test_any_interleaving_of_retries_and_zombies_leaves_what_the_rules_say(
    new_subject: Callable[[], Subject], writes: list[tuple[int, int, str, bool, int]]
) -> None:
    subject = new_subject()
    fences: dict[int, int] = {}
    held: dict[str, Inspected] = {}
    writers: dict[str, int] = {}
    arrivals: list[str] = []
    for number, (token, offset, frame, defect, partition) in enumerate(writes):
        write = subject.result(frame, offset, partition=partition, defect=defect, score=number / 100)
        (status,) = subject.store.store([write], token)
        if token < fences.get(partition, 0):
            assert status is FENCED
            continue
        fences[partition] = token
        if frame in held and held[frame].source != write.source:
            assert status is DUPLICATE
            continue
        assert status is STORED
        assert token >= writers.get(frame, 0)
        if frame not in held:
            arrivals.append(frame)
        held[frame], writers[frame] = write, token
    for frame, write in held.items():
        assert subject.stored(frame) == write.result
    newest = sorted(held, key=lambda f: (held[f].result.captured_at, f), reverse=True)
    assert subject.last() == newest
    defects = [f for f in newest if held[f].result.pred_label is PredLabel.ANOMALOUS]
    assert subject.last(defects_only=True) == defects
    assert subject.arrivals(CAMERA) == arrivals
    close(subject)


def test_after_planned_outages_the_same_call_succeeds() -> None:
    subject = memory_subject()
    subject.store.outage.plan(2)
    for _ in range(2):
        with pytest.raises(ServiceUnavailableError):
            subject.store.store([subject.result("a", 1)], 1)
    assert subject.last() == []
    assert list(subject.store.store([subject.result("a", 1)], 1)) == [STORED]


SMALL = Retention(good_s=100, defect_s=1000, good_per_camera=3, defect_per_camera=2, duplicate_s=500)


@pytest.fixture
def small(services: Any) -> Iterator[Subject]:
    subject = redis_subject(services.redis_url, SMALL)
    yield subject
    close(subject)


def held_keys(subject: Subject, frame: str) -> int:
    frame_id = subject.prefix + frame
    made = (keys.result, keys.frame, keys.overlay, keys.mask, keys.regions)
    return int(subject.store._client.exists(*(key(frame_id) for key in made)))


@pytest.mark.services
def test_beyond_the_count_the_oldest_of_its_kind_goes_with_its_evidence(small: Subject) -> None:
    evidence = Evidence(frame=b"f", overlay=b"o", mask=b"m", regions=b"r")
    small.store.store([small.result(f"d{i}", i, defect=True, evidence=evidence) for i in range(4)], 1)
    small.store.store([small.result(f"g{i}", 10 + i) for i in range(5)], 1)
    assert small.last() == ["g4", "g3", "g2", "d3", "d2"]
    assert [held_keys(small, f"d{i}") for i in range(4)] == [0, 0, 5, 5]
    counts = small.read.counts(small.prefix + CAMERA)
    assert (counts.good, counts.defect) == (3, 2)


@pytest.mark.services
def test_a_late_frame_is_not_trimmed_by_its_own_write(small: Subject) -> None:
    small.store.store([small.result(f"g{i}", 10 + i) for i in range(3)], 1)
    small.store.store([small.result("late", 0)], 1)
    assert small.last() == ["g2", "g1", "late"]


@pytest.mark.services
def test_a_lowered_limit_is_reached_in_bounded_steps(services: Any) -> None:
    wide = redis_subject(services.redis_url, replace(SMALL, good_per_camera=50))
    wide.store.store([wide.result(f"g{i}", i) for i in range(50)], 1)
    narrow = RedisResultStore(wide.store._client, group_id="narrow", retention=SMALL)
    narrow.store([wide.result("n0", 60)], 1)
    assert len(wide.last()) == 51 - 16
    narrow.store([wide.result(f"n{i}", 60 + i) for i in range(1, 4)], 1)
    assert len(wide.last()) == 3
    close(wide)


@pytest.mark.services
def test_good_and_defect_age_apart_and_the_fence_ends(small: Subject) -> None:
    client = small.store._client
    evidence = Evidence(frame=b"f", overlay=b"o", mask=b"m", regions=b"r")
    small.store.store([small.result("g", 1, evidence=evidence), small.result("d", 2, defect=True)], 1)
    camera = small.prefix + CAMERA
    ages = {
        keys.result(small.prefix + "g"): SMALL.good_s,
        keys.overlay(small.prefix + "g"): SMALL.good_s,
        keys.regions(small.prefix + "g"): SMALL.good_s,
        keys.result(small.prefix + "d"): SMALL.defect_s,
        keys.good_index(camera): SMALL.good_s,
        keys.good_arrivals(camera): SMALL.good_s,
        keys.defect_index(camera): SMALL.defect_s,
        keys.defect_arrivals(camera): SMALL.defect_s,
        keys.seen(small.prefix + "g"): SMALL.duplicate_s,
        keys.stream(camera): SMALL.defect_s,
        keys.fence(f"{small.prefix}group", "frames", 0): 3600,
        keys.stored(f"{small.prefix}group", "frames", 0): SMALL.defect_s,
    }
    for key, age_s in ages.items():
        assert age_s - 50 < client.ttl(key) <= age_s, key


@pytest.mark.services
def test_expired_members_are_skipped_and_taken_out_of_the_index(small: Subject) -> None:
    client, camera = small.store._client, small.prefix + CAMERA
    small.store.store([small.result(f"g{i}", i) for i in range(3)], 1)
    client.delete(keys.result(small.prefix + "g1"))  # what expiry does
    counts = small.read.counts(camera)
    assert (counts.good, counts.defect) == (2, 0)
    assert small.last(2) == ["g2", "g0"]
    both = (keys.good_index(camera), keys.good_arrivals(camera))
    assert [client.zcard(key) for key in both] == [2, 2]
    client.delete(keys.result(small.prefix + "g2"))
    small.store.store([small.result("g3", 3)], 1)  # writing cleans as well
    assert [client.zcard(key) for key in both] == [2, 2]


@pytest.mark.services
def test_trimming_spares_a_frame_id_that_another_camera_holds_by_now(small: Subject) -> None:
    client = small.store._client
    small.store.store([small.result("a", 1)], 1)
    client.delete(keys.result(small.prefix + "a"), keys.seen(small.prefix + "a"))  # both expired
    assert list(small.store.store([small.result("a", 2, camera="cam2")], 1)) == [STORED]
    assert small.last() == []
    small.store.store([small.result(f"g{i}", 10 + i) for i in range(4)], 1)
    assert small.last() == ["g3", "g2", "g1"]
    assert small.last(camera="cam2") == ["a"]


@pytest.mark.services
def test_cameras_are_listed_with_the_time_they_were_last_seen(small: Subject) -> None:
    before = datetime.now(UTC)
    small.store.store([small.result("a", 1), small.result("b", 2, camera="cam2")], 1)
    cameras = small.read.cameras()
    for camera in (CAMERA, "cam2"):
        assert abs(cameras[small.prefix + camera] - before) < timedelta(minutes=1)


@pytest.mark.services
def test_a_record_that_cannot_be_read_is_overwritten(small: Subject) -> None:
    small.store._client.set(keys.result(small.prefix + "a"), b"{not json")
    write = small.result("a", 1)
    assert list(small.store.store([write], 1)) == [STORED]
    assert small.stored("a") == write.result


@pytest.mark.services
def test_the_stream_tells_label_and_score_and_the_record_is_json(small: Subject) -> None:
    small.store.store([small.result("a", 1, defect=True, score=0.875)], 1)
    client = small.store._client
    ((_, fields),) = client.xrange(keys.stream(small.prefix + CAMERA))
    assert fields == {b"frame_id": f"{small.prefix}a".encode(), b"label": b"anomalous", b"score": b"0.875000"}
    assert json.loads(client.get(keys.result(small.prefix + "a")))["source"]["offset"] == 1
