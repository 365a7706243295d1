"""Watches which share of a camera's frames is rejected; makes one alert when it is too high, and one when that ends.

What it knows of a partition's cameras is committed as the metadata of the partition's offset, in the transaction of the
alerts that it makes. So an inspector that takes the partition over goes on from where the offsets are, and an alert
whose frames are taken again is made again only if it was not committed. A camera whose state found no room there (the
quiet ones are left out first) is seen as a new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Dropped, Inspected, Outcome, Rejected
from inspector.domain.reject_alert import RejectAlert, RejectCause, RejectEvent, reject_alert_id
from inspector.pipeline.ports import LogRecord
from inspector.pipeline.reject_window import RejectLimits, RejectWindow

PartitionKey = tuple[str, int]

# Brokers take 4096 bytes by default (offset.metadata.max.bytes), and refuse the whole commit above it.
MAX_NOTE_BYTES = 3000
# Camera ids come from outside; of more than these on one partition, the longest quiet are forgotten.
_MAX_CAMERAS = 500
_VERSION = 1
# An id of emoji takes up to 3 kB as JSON; it must not push the others out.
_MAX_ID_BYTES = 64
# A producer may stamp its records as it likes; what is beyond the calendar must not stop the line.
_MAX_TIMESTAMP_MS = 253_402_300_799_000


class RejectWatch:
    """Owned by the loop's thread. A camera is watched on each partition by itself: it should be on one only."""

    def __init__(self, limits: RejectLimits) -> None:
        self._limits = limits
        self._cameras: dict[PartitionKey, dict[str, RejectWindow]] = {}

    def restore(self, notes: Mapping[PartitionKey, str]) -> None:
        """Forget everything and go on from what was committed; a note that cannot be read counts as none."""
        self._cameras = {key: _decoded(note, self._limits) for key, note in notes.items()}

    def observe(self, outcomes: Iterable[Outcome], records: Sequence[LogRecord]) -> list[RejectAlert]:
        """Count the outcomes of a batch, in order; return the events they make. Nothing is known of dropped frames."""
        stamped = {record.source: record.timestamp_ms for record in records}
        events = (self._observe(outcome, stamped[outcome.source]) for outcome in outcomes)
        return [event for event in events if event is not None]

    def notes(self, partitions: Iterable[PartitionKey]) -> Mapping[PartitionKey, str]:
        """Return what to commit beside the offsets of these partitions."""
        return {key: _encoded(self._cameras.get(key, {}), self._limits) for key in partitions}

    def _observe(self, outcome: Outcome, timestamp_ms: int) -> RejectAlert | None:
        camera_id = outcome.result.camera_id if isinstance(outcome, Inspected) else outcome.camera_id
        if isinstance(outcome, Dropped) or not camera_id:
            return None
        window = self._window(outcome.source, camera_id)
        window.add(isinstance(outcome, Rejected), self._limits.bucket_frames)
        frames = window.frames(self._limits.bucket_frames)
        made = _Maker(outcome, camera_id, window.rejected(), frames, timestamp_ms)
        if (cause := window.starts(self._limits)) is not None:
            window.start(outcome.source.offset, cause)
            return made.start(cause, self._limits)
        if window.ends(self._limits):
            opened, cause = window.opened or 0, window.cause
            window.end()
            return made.end(opened, cause)
        return None

    def _window(self, source: FrameSource, camera_id: str) -> RejectWindow:
        cameras = self._cameras.setdefault((source.topic, source.partition), {})
        name = _short(camera_id)
        window = cameras.pop(name) if name in cameras else RejectWindow()
        cameras[name] = window  # last, so that the first are those that were quiet longest
        if len(cameras) > _MAX_CAMERAS:
            quiet = next((each for each, held in cameras.items() if held.opened is None), next(iter(cameras)))
            del cameras[quiet]
        return window


class _Maker:
    """Makes the event that one frame decides."""

    def __init__(self, outcome: Outcome, camera_id: str, rejected: int, frames: int, timestamp_ms: int) -> None:
        self._outcome = outcome
        self._camera_id = camera_id
        self._counts = (rejected, frames)
        self._timestamp_ms = timestamp_ms

    def start(self, cause: RejectCause, limits: RejectLimits) -> RejectAlert:
        rejected, frames = self._counts
        if cause is RejectCause.IN_A_ROW:
            text = f"{limits.max_in_a_row} frames in a row were rejected"
        else:
            text = f"{rejected} of the last {frames} frames were rejected, more than {limits.max_share:.2%}"
        reason = self._outcome.reason.value if isinstance(self._outcome, Rejected) else None
        return self._event(RejectEvent.START, self._outcome.source, cause, text, reason)

    def end(self, opened: int, cause: RejectCause) -> RejectAlert:
        first = FrameSource(self._outcome.source.topic, self._outcome.source.partition, opened)
        return self._event(RejectEvent.END, first, cause, "its frames are taken again", None)

    def _event(
        self, event: RejectEvent, first: FrameSource, cause: RejectCause, text: str, reason: str | None
    ) -> RejectAlert:
        source = self._outcome.source
        return RejectAlert(
            alert_id=reject_alert_id(source, event),
            episode_id=reject_alert_id(first, RejectEvent.START),
            event=event,
            cause=cause,
            camera_id=self._camera_id,
            rejected=self._counts[0],
            frames=self._counts[1],
            occurred_at=datetime.fromtimestamp(min(max(0, self._timestamp_ms), _MAX_TIMESTAMP_MS) / 1000, UTC),
            source=source,
            description=text,
            last_reason=reason,
        )


def _short(camera_id: str) -> str:
    """Return an id as it is, or what stands for it if it is long; ids are printable, so no two can meet."""
    if len(json.dumps(camera_id)) <= _MAX_ID_BYTES:
        return camera_id
    return f"\t{hashlib.sha256(camera_id.encode(errors='replace')).hexdigest()[:32]}"


def _encoded(cameras: Mapping[str, RejectWindow], limits: RejectLimits) -> str:
    """Return the cameras' windows as JSON, those that matter most first, as many as there is room for."""
    recent_first = list(cameras.items())[::-1]
    weighty_first = sorted(recent_first, key=lambda item: (item[1].opened is None, item[1].rejected() == 0))
    parts: list[str] = []
    room = MAX_NOTE_BYTES - 64
    for camera_id, window in weighty_first:
        opened = -1 if window.opened is None else window.opened
        numbers = [window.run, opened, int(window.cause is RejectCause.IN_A_ROW), window.filled, *window.buckets]
        part = f"{json.dumps(camera_id)}:{json.dumps(numbers, separators=(',', ':'))}"
        if len(part) + 1 > room:
            continue
        room -= len(part) + 1
        parts.append(part)
    return f'{{"v":{_VERSION},"b":{limits.bucket_frames},"c":{{{",".join(reversed(parts))}}}}}' if parts else ""


def _decoded(note: str, limits: RejectLimits) -> dict[str, RejectWindow]:
    try:
        document = json.loads(note) if note else {}
        if document.get("v") != _VERSION:
            return {}
        same = document["b"] == limits.bucket_frames  # counts of other buckets than ours say nothing
        return {str(camera_id): _window(numbers, same) for camera_id, numbers in document["c"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # whoever resets the group's offsets writes notes of their own


def _window(numbers: Sequence[int], same_buckets: bool) -> RejectWindow:
    run, opened, in_a_row, filled, *buckets = (int(number) for number in numbers)
    cause = RejectCause.IN_A_ROW if in_a_row else RejectCause.SHARE
    counted = (filled, buckets) if same_buckets and buckets else (0, [0])
    return RejectWindow(run, *counted, None if opened < 0 else opened, cause)
