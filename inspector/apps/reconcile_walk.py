"""Walks the committed frames, in windows, and examines each against what Kafka and Redis hold of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from inspector.adapters.kafka.committed import CommittedRange, complete_since, read_range, read_written
from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.outcome_index import OutcomeIndex
from inspector.adapters.redis.frame_states import Question, RedisFrameStates
from inspector.adapters.redis.results import RedisResults
from inspector.apps import console
from inspector.domain.alert import ALERT_SCHEMA, ALERT_TYPE
from inspector.domain.errors import BadInputError
from inspector.domain.frame import FrameSource
from inspector.domain.schema_version import readable
from inspector.pipeline import alert_record
from inspector.pipeline.dead_letter import read_source
from inspector.pipeline.frame_record import default_frame_id, peek_ids
from inspector.pipeline.ports import LogRecord
from inspector.pipeline.reconciliation import (
    NOTHING_COMMITTED,
    Committed,
    CommittedAlert,
    Finding,
    StoredFrame,
    StoredState,
    WalkedFrame,
    examine,
    published_at,
)
from inspector.pipeline.stretches import Stretch
from inspector.settings import Settings

_MAX_ALERT_BYTES = 2**20
# A frame's alert is stamped after the frame: by the brokers, or, in topics that others made, up to the difference of
# two clocks. Brokers refuse records stamped more than an hour ahead, so from a day before the first frame on no alert
# of it can be missed, and none is sent twice.
_ALERTS_BEFORE = timedelta(days=1)
_LONG_AGO = published_at(0)


@dataclass(frozen=True, slots=True)
class Scope:
    """What to look at: frames published ``since`` then, of one camera; None: all. ``now`` is when it began.

    Frames published before, too, where an earlier look says so: what was committed ``after`` it (its ends, by
    partition), and what it would have looked at ``again``. ``since`` is not younger than that look then.
    """

    now: datetime
    since: datetime | None = None
    camera_id: str | None = None
    after: Mapping[int, int] | None = None
    again: tuple[Stretch, ...] = ()

    @property
    def outcomes_since(self) -> datetime | None:
        """Since when alerts and dead letters of these frames may have been written; None: since ever."""
        if self.since is None:
            return None
        return min([self.since, *(stretch.since for stretch in self.again)]) - _ALERTS_BEFORE

    def ranges_again(self, ranges: Sequence[CommittedRange]) -> list[CommittedRange]:
        """Return what is to be looked at again before the first of ``ranges``, as far as Kafka still has it."""
        of, found = {part.partition: part for part in ranges}, []
        for stretch in self.again:
            if (part := of.get(stretch.partition)) is not None:
                first, end = max(stretch.first, part.oldest), min(stretch.end, part.first, part.end)
                if first < end:
                    found.append(CommittedRange(part.partition, part.oldest, first, end))
        return found


@dataclass(frozen=True, slots=True)
class Case:
    """A finding with what a repair needs: the frame's record, what was committed, and the result, where there are."""

    finding: Finding
    record: LogRecord | None
    committed: Committed
    stored: StoredFrame


@dataclass(slots=True)
class Window:
    """Some frames examined. ``passed``: offsets left behind, of all that the ranges hold."""

    frames: int = 0
    passed: int = 0
    gone: int = 0
    cases: list[Case] = field(default_factory=list)


def index_outcomes(connection: KafkaConnection, settings: Settings, scope: Scope, index: OutcomeIndex) -> None:
    """Take down the alerts and dead letters of the frames topic, all that were written by now.

    Raises:
        BadInputError: an alert or dead letter of another major version: nobody can tell which frame it is of.
        InspectorError: as ``read_written``.
    """
    kafka, since = settings.kafka, scope.outcomes_since
    for record in read_written(connection, kafka.alerts_topic, since, _MAX_ALERT_BYTES):
        if (found := _alert(record)) is not None and found[0].topic == kafka.frames_topic:
            index.add_alert(*found)
    for record in read_written(connection, kafka.dead_letter_topic, since, 2 * settings.limits.max_frame_bytes):
        if (letter := read_source(record.headers)) is not None and letter.source.topic == kafka.frames_topic:
            index.add_letter(letter.source, letter.reason)
    index.seal()


def _alert(record: LogRecord) -> tuple[FrameSource, CommittedAlert] | None:
    said = dict(record.headers).get("ce_type", ALERT_TYPE.encode())
    if said != ALERT_TYPE.encode():
        return None
    try:
        alert = alert_record.decode(record.value or b"")
    except BadInputError as error:
        if _is_other_version(record.value):
            raise  # an alert of whichever frame: taking it for missing could send a second one
        console.remark(f"skipped {record.source} on the alerts topic: {error}", "yellow")
        return None
    facts = (alert.frame_id, alert.camera_id, alert.anomaly_score, alert.weights_version, record.timestamp_ms)
    return alert.source, CommittedAlert(*facts)


def _is_other_version(value: bytes | None) -> bool:
    try:
        document = json.loads(value or b"")
    except (ValueError, RecursionError):
        return False
    said = str(document.get("schema", "")) if isinstance(document, dict) else ""
    return said.startswith("inspection.alert/") and not readable(said, ALERT_SCHEMA)


class Walk:
    """One walk over ``ranges``. What it is given must have been learnt in this order: ranges, then ``index``.

    ``complete_since``: since when alerts and dead letters are all there; None: since ever.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        settings: Settings,
        scope: Scope,
        ranges: Sequence[CommittedRange],
        index: OutcomeIndex,
        states: RedisFrameStates,
        results: RedisResults,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._scope = scope
        self._ranges = ranges
        self._index = index
        self._states = states
        self._results = results
        topics = (settings.kafka.alerts_topic, settings.kafka.dead_letter_topic)
        moments = [moment for topic in topics if (moment := complete_since(connection, topic, scope.now)) is not None]
        self.complete_since = max(moments, default=None)

    def windows(self) -> Iterator[Window]:
        """Yield every window: the frames that Kafka still has, then what is left of those it has let go.

        Raises:
            InspectorError: as ``read_range`` and ``RedisResults``.
        """
        topic, max_bytes = self._settings.kafka.frames_topic, self._settings.limits.max_frame_bytes
        wanted = sorted(
            [*self._scope.ranges_again(self._ranges), *self._ranges], key=lambda part: (part.partition, part.first)
        )
        for part, records, passed in read_range(self._connection, topic, wanted, max_bytes):
            frames = [(frame, record) for record in records if self._is_wanted(frame := _walked(record))]
            known = self._index.of(part.partition, [frame.source.offset for frame, _ in frames])
            yield self._examine([(f, r, known.get(f.source.offset, NOTHING_COMMITTED)) for f, r in frames], passed)
        for part in self._ranges:
            yield from self._alerts_of_gone_frames(part)
        yield from self._results_of_gone_frames()

    def _is_wanted(self, frame: WalkedFrame) -> bool:
        return self._scope.camera_id in (None, frame.camera_id)

    def _examine(self, frames: Sequence[tuple[WalkedFrame, LogRecord | None, Committed]], passed: int = 0) -> Window:
        questions = [self._question(frame, committed) for frame, _, committed in frames]
        window = Window(len(frames), passed)
        for (frame, record, committed), stored in zip(frames, self._states.look_up(questions), strict=True):
            window.gone += stored.state is StoredState.GONE and not committed.letters
            found = examine(frame, committed, stored, self.complete_since)
            window.cases += [Case(finding, record, committed, stored) for finding in found]
        return window

    def _question(self, frame: WalkedFrame, committed: Committed) -> Question:
        since = published_at(committed.alerts[-1].committed_ms) if committed.alerts else frame.published_at
        age_s = (self._scope.now - since).total_seconds()
        return Question(frame.source, frame.frame_id, frame.camera_id, bool(committed.alerts), age_s)

    def _alerts_of_gone_frames(self, part: CommittedRange) -> Iterator[Window]:
        """Examine alerts whose frames Kafka has let go: their results may be kept for longer."""
        for offsets in self._index.alerted_before(part.partition, part.oldest):
            frames = []
            for offset, committed in sorted(self._index.of(part.partition, offsets).items()):
                if not committed.alerts:
                    continue
                alert, source = committed.alerts[0], FrameSource(self._topic, part.partition, offset)
                sent = published_at(alert.committed_ms)
                frame = WalkedFrame(source, alert.frame_id, alert.camera_id, sent, has_bytes=False)
                if self._is_wanted(frame) and (self._scope.since is None or sent >= self._scope.since):
                    frames.append((frame, None, committed))
            yield self._examine(frames)

    def _results_of_gone_frames(self) -> Iterator[Window]:
        """Look for anomalous results without an alert whose frames Kafka has let go.

        Not among the younger ones alone: only the inspector's clock says how old such a frame is, and by one that is
        ahead, alerts that were sent would stand before those that were looked at.
        """
        ends = {part.partition: min(part.oldest, part.end) for part in self._ranges if part.oldest > 0}
        if not ends or self._scope.since is not None:
            return
        for camera_id in self._results.cameras():
            if self._scope.camera_id not in (None, camera_id):
                continue
            for origins in self._states.defects(camera_id):
                yield self._examine(list(self._untold(camera_id, origins, ends)))

    def _untold(
        self, camera_id: str, origins: Mapping[str, FrameSource | None], ends: Mapping[int, int]
    ) -> Iterator[tuple[WalkedFrame, None, Committed]]:
        for frame_id, source in origins.items():
            if source is None:
                console.remark(f"skipped result {frame_id} of camera {camera_id}: it names no frame", "yellow")
            elif self._is_untold(source, ends):
                # If it goes meanwhile, then by retention: nothing could bring it back.
                yield WalkedFrame(source, frame_id, camera_id, _LONG_AGO, has_bytes=False), None, NOTHING_COMMITTED

    def _is_untold(self, source: FrameSource, ends: Mapping[int, int]) -> bool:
        is_gone = source.topic == self._topic and source.offset < ends.get(source.partition, 0)
        return is_gone and not self._index.of(source.partition, [source.offset])

    @property
    def _topic(self) -> str:
        return self._settings.kafka.frames_topic


def _walked(record: LogRecord) -> WalkedFrame:
    """Say who a frame is, as the inspector would; of one that it must reject, as far as can be told."""
    frame_id, camera_id = peek_ids(record)
    own_id = frame_id or default_frame_id(record.source)
    return WalkedFrame(record.source, own_id, camera_id or "", published_at(record.timestamp_ms))
