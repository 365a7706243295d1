"""What a line leaves out under a drop policy, and that each frame it leaves out can be proved later."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop_kit import BROKEN, DEFECT, GOOD, World

from inspector.domain.errors import BadInputError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.outcome import DropReason
from inspector.pipeline.batcher import Batcher
from inspector.pipeline.drop_rule import DropLimits, DropPolicy, DropRule
from inspector.pipeline.ports import CommitFailedError
from inspector.settings import load

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACE = ("frames", 0)


def frame(offset: int, age_s: float = 0.0, partition: int = 0) -> Frame:
    meta = FrameMeta("f", "cam", "line", "p", NOW - timedelta(seconds=age_s), "image/jpeg")
    return Frame(meta, FrameSource("frames", partition, offset), b"")


def rule(policy: DropPolicy, lag_frames: int | None = None, older_s: float | None = None) -> DropRule:
    return DropRule(DropLimits(policy, lag_frames, older_s, few_frames=2), lambda: NOW)


def kept(drops: DropRule, offsets: range) -> list[int]:
    return [offset for offset in offsets if drops.decide(frame(offset)) is None]


def test_without_a_policy_nothing_is_dropped_however_much_waits() -> None:
    drops = rule(DropPolicy.NONE)
    drops.see({PLACE: 1_000_000})
    assert kept(drops, range(100)) == list(range(100))


def test_oldest_keeps_the_last_frames_of_a_partition() -> None:
    drops = rule(DropPolicy.OLDEST, 10)
    drops.see({PLACE: 100, ("frames", 1): 5})
    assert kept(drops, range(100)) == list(range(90, 100))
    assert drops.decide(frame(0, partition=1)) is None
    reason, words = drops.decide(frame(50)) or (None, "")
    assert reason is DropReason.LAG
    assert "49 newer frames" in words


def test_newest_keeps_those_that_came_first_and_lets_others_queue_as_room_comes() -> None:
    drops = rule(DropPolicy.NEWEST, 10)
    drops.see({PLACE: 100})
    assert kept(drops, range(5)) == list(range(5))
    drops.see({PLACE: 103})  # meanwhile five were served, and three came
    assert kept(drops, range(5, 105)) == [5, 6, 7, 8, 9, 100, 101, 102, 103, 104]


def test_age_counts_from_capture_and_spares_the_last_frames() -> None:
    drops = rule(DropPolicy.OLDEST, older_s=2.0)
    drops.see({PLACE: 4})
    assert (drops.decide(frame(0, age_s=2.5)) or ("",))[0] is DropReason.AGE
    assert drops.decide(frame(1, age_s=1.9)) is None
    assert drops.decide(frame(2, age_s=3600)) is None


def test_a_camera_whose_clock_is_slow_is_inspected_beside_one_whose_clock_is_right_while_the_line_keeps_up() -> None:
    drops = DropRule(DropLimits(DropPolicy.OLDEST, older_s=2.0), lambda: NOW)
    for offset in range(0, 200, 2):  # each poll brings the last frame of both
        drops.see({PLACE: offset + 2})
        assert drops.decide(frame(offset, age_s=3600)) is None
        assert drops.decide(frame(offset + 1)) is None
    drops.see({PLACE: 400})
    assert drops.decide(frame(200, age_s=3600)) is not None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)), max_size=40), st.integers(1, 12))
def test_newest_is_a_queue_of_bounded_length(turns: list[tuple[int, int]], room: int) -> None:
    """In each turn so many frames come, and then so many are taken; a plain bounded queue is the model."""
    drops = rule(DropPolicy.NEWEST, room)
    end = taken = 0
    queue: list[int] = []
    for come, take in turns:
        queue += range(end, end + min(come, room - len(queue)))
        end += come
        drops.see({PLACE: end})
        for offset in range(taken, min(end, taken + take)):
            is_kept = drops.decide(frame(offset)) is None
            assert is_kept == (offset in queue)
            queue = [waiting for waiting in queue if waiting > offset]
            taken = offset + 1


def test_what_is_dropped_is_counted_committed_and_told_in_the_dead_letter_topic() -> None:
    world = World()
    images = [DEFECT if n % 3 == 0 else BROKEN if n % 7 == 0 else GOOD for n in range(200)]
    world.publish(images)
    world.run(world.loop(drops=DropLimits(DropPolicy.OLDEST, 20)))
    totals = Counter[str]()
    for report in world.reports:
        counts = report.counts
        assert counts.taken == counts.inspected + counts.rejected + counts.dropped
        totals.update(dropped=counts.dropped, inspected=counts.inspected, rejected=counts.rejected)
    assert totals.total() == 200
    assert 0 < totals["inspected"] <= 60  # three partitions
    letters = world.broker.committed_records("dead")
    dropped = [letter for letter in letters if dict(letter.headers)["reason"] == b"dropped"]
    assert len(dropped) == totals["dropped"]
    assert len(letters) - len(dropped) == totals["rejected"]
    for letter in dropped:
        headers = dict(letter.headers)
        image = images[int(headers["frame_id"][1:])]
        assert headers["sha256"].decode() == hashlib.sha256(image).hexdigest()
        assert headers["detail"].startswith(b"lag: ")
        reference = json.loads(letter.value or b"")
        assert (reference["partition"], reference["offset"]) == (int(headers["partition"]), int(headers["offset"]))
    places = {(dict(r.headers)["partition"], dict(r.headers)["offset"]) for r in letters}
    assert len(places) == len(letters)


@pytest.mark.parametrize("how", ["the commit fails", "the process is killed"])
def test_a_frame_whose_result_is_stored_is_told_of_though_too_many_wait_by_then(how: str) -> None:
    world = World()
    world.publish([DEFECT] * 20)
    loop = world.loop(drops=DropLimits(DropPolicy.OLDEST, 30))
    stored: list[str] = []

    def fail(*_: object) -> None:
        """Results are stored, and while the line is away much comes."""
        del world.logs[-1].commit
        stored.extend(world.store.arrivals)
        world.publish([GOOD] * 400, [f"late{n}" for n in range(400)])
        raise CommitFailedError("planned") if how == "the commit fails" else KeyboardInterrupt

    world.logs[-1].commit = fail  # type: ignore[assignment,method-assign]
    with suppress(KeyboardInterrupt):
        world.run(loop, lambda: bool(stored) and world.drained())
    if how == "the process is killed":
        world.logs[-1].close()
        world.store.outage.plan(3)  # what is stored cannot be asked at once
        world.run(world.loop("r2", drops=DropLimits(DropPolicy.OLDEST, 30)))
    assert stored
    assert set(stored) <= set(world.alerts())
    assert ("late0", "dropped") in world.dead()


def test_dropped_frames_take_no_place_in_a_batch() -> None:
    batcher: Batcher[str] = Batcher(2, 1.0)
    for item, weight in [("d1", 0), ("a", 1), ("d2", 0), ("b", 1), ("d3", 0), ("c", 1)]:
        batcher.add(item, 0.0, weight)
    assert batcher.take(0.0) == ["d1", "a", "d2", "b", "d3"]
    assert batcher.take(0.5) == []
    assert batcher.take(1.0) == ["c"]
    for number in range(20):
        batcher.add(f"d{number}", 2.0, 0)
    assert [len(batcher.take(2.0)), len(batcher.take(2.0)), len(batcher.take(2.0))] == [8, 8, 0]


@pytest.mark.parametrize(
    "batch",
    [
        {"drop_policy": "oldest"},
        {"drop_policy": "newest", "drop_when_older_s": 3},
        {"drop_policy": "newest", "drop_when_lag_frames": 5, "drop_when_older_s": 3},
        {"drop_when_lag_frames": 5},
        {"drop_policy": "some", "drop_when_lag_frames": 5},
    ],
)
def test_a_policy_without_its_bound_or_a_bound_without_its_policy_is_refused(batch: dict[str, object]) -> None:
    with pytest.raises(BadInputError, match="drop"):
        load(flags={"batch": batch})
