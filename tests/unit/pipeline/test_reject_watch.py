"""An alert when a camera's frames are rejected: once an episode, and once when it ends, whatever is restarted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loop_kit import BROKEN, DEFECT, GOOD, World

from inspector.adapters.memory.log import CommitFault
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Dropped, Inspected, Outcome, Rejected, RejectReason
from inspector.domain.records import to_json
from inspector.domain.reject_alert import RejectAlert, RejectCause, RejectEvent
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline import reject_record
from inspector.pipeline.ports import LogRecord, OutRecord
from inspector.pipeline.reject_watch import MAX_NOTE_BYTES, RejectWatch
from inspector.pipeline.reject_window import RejectLimits

LIMITS = RejectLimits(max_share=0.01, window_frames=1000, max_in_a_row=100)
START, END = RejectEvent.START, RejectEvent.END
KEY = ("frames", 0)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Make = Callable[[FrameSource, str | None], Outcome]


def good(source: FrameSource, camera_id: str | None) -> Outcome:
    result = InspectionResult(
        "f", camera_id or "", "line", "p", NOON, NOON, 0.1, PredLabel.NORMAL, 0.5, ScoreMode.BANK, "w", "m", source, {},
        9, 9,
    )  # fmt: skip
    return Inspected(source, result, None)


def bad(source: FrameSource, camera_id: str | None) -> Outcome:
    return Rejected(source, RejectReason.TRUNCATED, "", b"", camera_id=camera_id)


def dropped(source: FrameSource, camera_id: str | None) -> Outcome:
    return Dropped(source, "lag", camera_id=camera_id)


class Camera:
    """Feeds a watch one frame after the other."""

    def __init__(self, watch: RejectWatch, camera_id: str | None = "cam1") -> None:
        self.watch = watch
        self.camera_id = camera_id
        self.offset = 0

    def feed(self, *makers: Make, times: int = 1, timestamp_ms: int = 1_700_000_000_000) -> list[RejectAlert]:
        made: list[RejectAlert] = []
        for make in makers * times:
            source = FrameSource("frames", 0, self.offset)
            self.offset += 1
            record = LogRecord(source, timestamp_ms, None, b"")
            made += self.watch.observe([make(source, self.camera_id)], [record])
        return made


def test_a_hundred_in_a_row_start_an_episode_and_a_hundred_good_ones_end_it() -> None:
    camera = Camera(RejectWatch(LIMITS))
    assert camera.feed(bad, times=99) == []
    (start,) = camera.feed(bad)
    assert (start.event, start.cause, start.rejected, start.frames) == (START, RejectCause.IN_A_ROW, 100, 100)
    assert start.last_reason == "truncated"
    assert camera.feed(bad, times=500) == []
    assert camera.feed(good, times=99) == []
    (end,) = camera.feed(good)
    assert (end.event, end.episode_id, start.episode_id) == (END, start.alert_id, start.alert_id)
    assert end.alert_id != start.alert_id
    assert camera.feed(good, times=3000) == []


def test_ninety_nine_in_a_row_of_a_camera_without_a_full_window_are_none() -> None:
    camera = Camera(RejectWatch(LIMITS))
    assert camera.feed(*[bad] * 99, good, times=5) == []


def test_more_than_one_in_a_hundred_of_a_full_window_start_an_episode_and_half_of_that_ends_it() -> None:
    camera = Camera(RejectWatch(LIMITS))
    assert camera.feed(*[good] * 99, bad, times=30) == []  # just one in a hundred
    events = camera.feed(*[good] * 49, bad, times=60)
    assert [(event.event, event.cause) for event in events] == [(START, RejectCause.SHARE)]
    assert events[0].rejected > 0.01 * events[0].frames
    assert 1000 <= events[0].frames <= 1100
    assert camera.feed(*[good] * 99, bad, times=60) == []  # not half yet: it does not flutter around the bound
    assert [event.event for event in camera.feed(good, times=2000)] == [END]


def test_dropped_frames_and_frames_of_no_camera_say_nothing() -> None:
    camera = Camera(RejectWatch(LIMITS))
    camera.feed(bad, times=99)
    assert camera.feed(dropped, times=500) == []
    assert len(camera.feed(bad)) == 1
    assert Camera(RejectWatch(LIMITS), None).feed(bad, times=500) == []


def test_cameras_are_counted_apart() -> None:
    watch = RejectWatch(LIMITS)
    one, other = Camera(watch, "one"), Camera(watch, "other")
    for _ in range(99):
        assert one.feed(bad) == other.feed(bad) == []
    assert [event.camera_id for event in one.feed(bad)] == ["one"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([good, bad, dropped]), st.integers(1, 40)), max_size=25),
    st.sets(st.integers(0, 500), max_size=8),
)
def test_a_watch_that_is_restarted_from_its_notes_tells_the_same(
    frames: list[tuple[Make, int]], restarts: set[int]
) -> None:
    limits = RejectLimits(max_share=0.1, window_frames=40, max_in_a_row=15)
    steady, restarted = Camera(RejectWatch(limits)), Camera(RejectWatch(limits))
    for make, times in frames:
        for _ in range(times):
            assert steady.feed(make) == restarted.feed(make)
            if restarted.offset in restarts:
                notes = restarted.watch.notes([KEY])
                restarted.watch = RejectWatch(limits)
                restarted.watch.restore(notes)


def test_notes_stay_small_and_open_episodes_are_the_last_to_be_left_out() -> None:
    watch = RejectWatch(LIMITS)
    Camera(watch, "cam-open").feed(bad, times=100)
    for number in range(3000):
        Camera(watch, f"camera-{number}").feed(good)
    note = watch.notes([KEY])[KEY]
    assert len(note.encode()) <= MAX_NOTE_BYTES
    cameras = json.loads(note)["c"]
    assert "cam-open" in cameras
    assert "camera-2999" in cameras
    assert "camera-0" not in cameras


def test_an_open_episode_of_a_camera_with_a_long_id_goes_on_after_a_restart_and_so_do_those_beside_it() -> None:
    watch = RejectWatch(LIMITS)
    ids = [*(f"cam{number}" for number in range(5)), *("\U0001f600" * 126 + str(number) for number in range(4))]
    cameras = [Camera(watch, camera_id) for camera_id in ids]
    for camera in cameras:
        assert len(camera.feed(bad, times=100)) == 1
    notes = watch.notes([KEY])
    watch.restore(notes)
    for camera in cameras:
        (end,) = camera.feed(bad, times=50) + camera.feed(good, times=100)
        assert (end.event, end.camera_id) == (END, camera.camera_id)


@pytest.mark.parametrize(
    "note",
    ["", "by hand", "[]", '{"v":1}', '{"v":1,"b":100,"c":{"cam1":[1]}}', '{"v":99,"b":1,"c":{}}', "[" * 5000],
)
def test_a_note_that_cannot_be_read_counts_as_none(note: str) -> None:
    watch = RejectWatch(LIMITS)
    watch.restore({KEY: note})
    camera = Camera(watch)
    assert camera.feed(bad, times=99) == []
    assert len(camera.feed(bad)) == 1


@pytest.mark.parametrize("timestamp_ms", [-1, 2**63 - 1])
def test_no_timestamp_stops_the_line(timestamp_ms: int) -> None:
    assert len(Camera(RejectWatch(LIMITS)).feed(bad, times=100, timestamp_ms=timestamp_ms)) == 1


def test_the_record_is_a_cloud_event_of_its_own_type_that_reads_back() -> None:
    (alert,) = Camera(RejectWatch(LIMITS), "Kamera ü").feed(bad, times=100)
    record = reject_record.encode(alert, "alerts")
    headers = dict(record.headers)
    assert headers["ce_type"] == b"inspection.rejects"
    assert headers["ce_id"] == alert.alert_id.encode()
    assert record.key == "Kamera ü".encode()
    assert reject_record.decode(record.value) == alert
    assert reject_record.is_reject_alert(LogRecord(alert.source, 0, None, record.value, record.headers))
    assert to_json(alert) == record.value


def reject_events(world: World) -> list[tuple[str, str]]:
    records = [r for r in world.broker.committed_records("alerts") if reject_record.is_reject_alert(r)]
    alerts = [reject_record.decode(record.value or b"") for record in records]
    return [(alert.event.value, alert.alert_id) for alert in alerts]


def one_camera(images: Sequence[bytes]) -> World:
    world = World()
    for number, image in enumerate(images):
        world.broker.append(OutRecord("frames", b"cam", image, (("frame_id", f"f{number:04}".encode()),)))
    return world


EPISODE = [GOOD] * 20 + [BROKEN] * 60 + [GOOD] * 40 + [DEFECT]


def test_one_event_at_the_start_and_one_at_the_end_go_out_with_the_offsets() -> None:
    world = one_camera(EPISODE)
    world.run(world.loop(rejects=RejectLimits(max_in_a_row=30)))
    assert [event for event, _ in reject_events(world)] == ["start", "end"]
    assert len(world.dead()) == 60
    assert world.alerts() == ["f0120"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from([*CommitFault, "rebalance", "restart"])), max_size=8))
def test_the_events_are_the_same_whatever_fails(faults: list[tuple[int, object]]) -> None:
    quiet = one_camera(EPISODE)
    quiet.run(quiet.loop(rejects=RejectLimits(max_in_a_row=30)))
    world = one_camera(EPISODE)
    for number, (steps, fault) in enumerate(faults):
        left = steps
        if isinstance(fault, CommitFault):
            world.broker.plan_commit_fault(fault)

        def until() -> bool:
            nonlocal left
            left -= 1
            if left == 1 and fault == "rebalance":  # noqa: B023  played within this life
                world.broker.rebalance("g")
            return left < 0 or world.drained()

        world.run(world.loop(f"r{number}", rejects=RejectLimits(max_in_a_row=30)), until)
        world.logs[-1].close()
    world.run(world.loop(rejects=RejectLimits(max_in_a_row=30)))
    assert reject_events(world) == reject_events(quiet)
