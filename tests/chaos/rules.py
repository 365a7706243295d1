"""The comparison of what was to happen with what did: pure, so that each rule can be tried on made-up evidence."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Mapping, Sequence, Set
from datetime import datetime
from typing import TypeVar

from evidence import Evidence, SeenAlert, SeenLetter, SeenResult
from findings import Findings, Kind
from stub_engine import StubVerdict
from truth import INSPECTED, TrueFrame

from inspector.domain.frame import FrameSource
from inspector.domain.outcome import RejectReason
from inspector.domain.reject_alert import REJECT_ALERT_TYPE
from inspector.domain.result import PredLabel
from inspector.pipeline.ports import StoreStatus

VerdictRule = Callable[[str], StubVerdict]
_Item = TypeVar("_Item", SeenAlert, SeenLetter, SeenResult)

_DUPLICATE = f"rejected:{RejectReason.DUPLICATE.value}"
_SAME_SCORE = 1e-6


def compare(evidence: Evidence, verdict_of: VerdictRule | None) -> Findings:
    """Return what is wrong; ``verdict_of`` tells the verdict on a frame's SHA-256, where the scorer is the stub."""
    return _Comparison(evidence, verdict_of).run()


class _Comparison:
    def __init__(self, evidence: Evidence, verdict_of: VerdictRule | None) -> None:
        self._evidence = evidence
        self._verdict_of = verdict_of
        self._alerts = _by_source(evidence.alerts)
        self._letters = _by_source(evidence.letters)
        self._results = _by_source(evidence.results)
        self._dropped = Counter(evidence.dropped)
        self._later = _later_of_its_kind(evidence.truth, self._alerts)
        self._writers = _writers(evidence)
        self._found = Findings(
            frames=len(evidence.truth),
            alerts=len(evidence.alerts),
            dead_letters=len(evidence.letters),
            results=len(evidence.results),
            dropped=len(evidence.dropped),
        )

    def run(self) -> Findings:
        for frame, expected in _expectations(self._evidence.truth, self._results, set(self._dropped)):
            self._check(frame, expected)
        self._check_order()
        self._check_batches()
        self._check_unknown()
        self._check_event_ids()
        self._check_acknowledged()
        self._check_holes()
        return self._found

    def _check(self, frame: TrueFrame, expected: str) -> None:
        alerts, letters = self._alerts.get(frame.source, []), self._letters.get(frame.source, [])
        results, dropped = self._results.get(frame.source, []), self._dropped[frame.source]
        if not (alerts or letters or results or dropped) and not self._is_committed(frame):
            self._found.open_frames += 1
            return
        inspected = bool(alerts or results)
        if max(len(alerts), len(letters), len(results)) > 1 or inspected + bool(letters) + dropped > 1:
            how = f"{len(alerts)} alerts, {len(letters)} dead letters, {len(results)} results"
            self._add(Kind.DUPLICATED, frame, f"{how}, dropped {dropped} times")
        if letters:
            self._check_rejected(frame, expected, letters[0])
        elif dropped:
            return
        elif expected != INSPECTED:
            self._found.add(
                Kind.WRONG_VERDICT if inspected else Kind.LOST, f"{_name(frame)}: expected {expected}, no dead letter"
            )
        else:
            self._check_names(frame, alerts, results)
            self._check_inspected(frame, alerts, results[0] if results else None)

    def _is_committed(self, frame: TrueFrame) -> bool:
        return frame.offset < self._evidence.committed.get(frame.partition, 0)

    def _check_rejected(self, frame: TrueFrame, expected: str, letter: SeenLetter) -> None:
        if expected != f"rejected:{letter.reason}":
            self._add(Kind.WRONG_VERDICT, frame, f"expected {expected}, rejected as {letter.reason}")
        elif {letter.sha256, letter.content_sha256} != {frame.sha256}:
            self._add(Kind.WRONG_VERDICT, frame, "its dead letter is of other bytes")

    def _check_names(self, frame: TrueFrame, alerts: Sequence[SeenAlert], results: Sequence[SeenResult]) -> None:
        named = (frame.frame_id, frame.camera_id, frame.part_id)
        outcomes: list[tuple[str, SeenAlert | SeenResult]] = [("alert", each) for each in alerts]
        outcomes += [("result", each) for each in results]
        for what, each in outcomes:
            if (said := (each.frame_id, each.camera_id, each.part_id)) != named:
                self._add(Kind.WRONG_VERDICT, frame, f"its {what} is of {said}, expected {named}")
        for result in results:
            if result.filed_as != result.frame_id:
                self._add(Kind.WRONG_VERDICT, frame, f"its result is filed as {result.filed_as}")

    def _check_inspected(self, frame: TrueFrame, alerts: Sequence[SeenAlert], result: SeenResult | None) -> None:
        verdict = self._verdict_of(frame.sha256) if self._verdict_of else None
        anomalous = verdict.label is PredLabel.ANOMALOUS if verdict else _anomalous(alerts, result)
        if result is None:
            self._check_absent(frame, anomalous, alerts)
        else:
            self._check_result(frame, verdict, alerts, result)
        if anomalous and not alerts and result is not None:
            self._add(Kind.LOST, frame, "anomalous, and no alert")
        if alerts and not anomalous:
            self._add(Kind.WRONG_VERDICT, frame, "an alert for a normal frame")

    def _check_absent(self, frame: TrueFrame, anomalous: bool, alerts: Sequence[SeenAlert]) -> None:
        stored = self._evidence.once_stored.get(frame.frame_id) == frame.source or frame.source in self._writers
        if anomalous and not alerts:
            self._add(Kind.LOST, frame, "anomalous, and neither alert nor result")
        elif not stored and not alerts:
            self._add(Kind.LOST, frame, "no outcome")
        elif self._gone_by_retention(frame, anomalous):
            self._found.gone += 1
        else:
            self._add(Kind.MISSING_RESULT, frame, "committed, not in Redis")

    def _gone_by_retention(self, frame: TrueFrame, anomalous: bool) -> bool:
        kept = self._evidence.kept
        age_s = self._evidence.now_s - frame.timestamp_ms / 1000
        if age_s > (kept.defect_s if anomalous else kept.good_s):
            return True
        return self._later[frame.source] >= (kept.defect_per_camera if anomalous else kept.good_per_camera)

    def _check_result(
        self, frame: TrueFrame, verdict: StubVerdict | None, alerts: Sequence[SeenAlert], result: SeenResult
    ) -> None:
        if verdict and (result.label != verdict.label or abs(result.score - verdict.score) > _SAME_SCORE):
            self._add(
                Kind.WRONG_VERDICT,
                frame,
                f"expected {verdict.label.value} {verdict.score}, the result is {result.label} {result.score}",
            )
        writer, owner = self._generations(frame.source, result)
        if writer is not None and writer < owner:
            self._add(Kind.OVERWRITTEN, frame, f"by generation {writer}, after generation {owner} had stored it")
        elif alerts and not result.repaired and not _of_one_scoring(alerts[0], result):
            self._add(
                Kind.OVERWRITTEN,
                frame,
                f"its alert is of weights {alerts[0].weights_version}, its result of {result.weights_version}",
            )

    def _generations(self, source: FrameSource, result: SeenResult) -> tuple[int | None, int]:
        """Return who wrote the result (None: not in the journal) and the newest generation that stored the frame."""
        writers = self._writers.get(source, {})
        return writers.get(_moment(result.inspected_at)), max(writers.values(), default=-1)

    def _check_order(self) -> None:
        last: dict[str, SeenAlert] = {}
        in_turn = (alert for alert in self._evidence.alerts if not alert.repaired)  # a repair comes when it comes
        for alert in sorted(in_turn, key=lambda alert: alert.place):
            before = last.setdefault(alert.camera_id, alert)
            if before.place[0] != alert.place[0]:
                self._found.add(Kind.OUT_OF_ORDER, f"camera {alert.camera_id} has alerts on two partitions")
            elif before.source.partition == alert.source.partition and before.source.offset > alert.source.offset:
                self._found.add(
                    Kind.OUT_OF_ORDER, f"camera {alert.camera_id}: {_at(before.source)} before {_at(alert.source)}"
                )
            last[alert.camera_id] = alert

    def _check_batches(self) -> None:
        for batch in self._evidence.journal:
            versions = {frame.weights_version for frame in batch.frames}
            if len(versions) > 1:
                self._found.add(
                    Kind.MIXED_WEIGHTS, f"{len(batch.frames)} frames by process {batch.pid}: {', '.join(versions)}"
                )

    def _check_unknown(self) -> None:
        known = {frame.source for frame in self._evidence.truth}
        outcomes = [
            *((alert.source, "an alert") for alert in self._evidence.alerts),
            *((letter.source, "a dead letter") for letter in self._evidence.letters),
            *((result.source, "a result") for result in self._evidence.results),
            *((source, "a drop") for source in self._evidence.dropped),
        ]
        for source, what in outcomes:
            if source not in known:
                self._found.add(Kind.UNKNOWN, f"{what} of {_at(source)}")

    def _check_event_ids(self) -> None:
        """An event's id is its own, over all types; the alerts of one frame share theirs and are counted with it."""
        frames: dict[str, set[FrameSource]] = defaultdict(set)
        for alert in self._evidence.alerts:
            frames[alert.alert_id].add(alert.source)
            if alert.ce_id != alert.alert_id:
                self._found.add(Kind.WRONG_VERDICT, f"alert {alert.alert_id} has the header ce_id {alert.ce_id!r}")
        notices = Counter(notice.ce_id for notice in self._evidence.notices)
        for ce_id in frames.keys() | notices.keys():
            if len(frames.get(ce_id, ())) + notices[ce_id] > 1:
                self._found.add(Kind.DUPLICATED, f"{len(frames.get(ce_id, ())) + notices[ce_id]} events are {ce_id!r}")
        for notice in self._evidence.notices:
            if notice.ce_type != REJECT_ALERT_TYPE:
                self._found.add(Kind.UNKNOWN, f"event {notice.ce_id!r} of type {notice.ce_type!r}")

    def _check_holes(self) -> None:
        seen = Counter((frame.partition, frame.offset) for frame in self._evidence.truth)
        for partition, (start, end) in self._evidence.held.items():
            for offset in range(start, end):
                if not seen[partition, offset]:
                    self._found.add(Kind.HOLE, f"{partition}/{offset} is in the topic, and not in the truth")
        for (partition, offset), times in seen.items():
            if times > 1:
                self._found.add(Kind.HOLE, f"{partition}/{offset} is in the truth {times} times")
            elif offset >= self._evidence.held.get(partition, (0, 0))[1]:
                self._found.add(Kind.HOLE, f"{partition}/{offset} is in the truth, and not in the topic")

    def _check_acknowledged(self) -> None:
        held = {(frame.frame_id, frame.partition, frame.offset) for frame in self._evidence.truth}
        for frame_id, partition, offset in self._evidence.acked:
            if (frame_id, partition, offset) not in held:
                self._found.add(Kind.LOST, f"{frame_id} was acknowledged at {partition}/{offset}, which holds it not")

    def _add(self, kind: Kind, frame: TrueFrame, what: str) -> None:
        self._found.add(kind, f"{_name(frame)}: {what}")


def _expectations(
    truth: Sequence[TrueFrame], results: Container[FrameSource], dropped: Set[FrameSource]
) -> list[tuple[TrueFrame, str]]:
    """Pair each frame with what is expected of it: of those that share an id and were not dropped, one is inspected.

    That is the first one, where they are in one partition, as the frames of one camera are.
    """
    sharing: dict[str, list[TrueFrame]] = defaultdict(list)
    for frame in truth:
        if frame.expected == INSPECTED and frame.source not in dropped:
            sharing[frame.frame_id].append(frame)
    first: dict[str, FrameSource] = {}
    for frame_id, frames in sharing.items():
        in_order = sorted(frame.source for frame in frames)
        several = len({source.partition for source in in_order}) > 1
        inspected = [source for source in in_order if source in results] if several else []
        first[frame_id] = (inspected or in_order)[0]
    return [(frame, _DUPLICATE if _is_another(frame, first) else frame.expected) for frame in truth]


def _is_another(frame: TrueFrame, first: Mapping[str, FrameSource]) -> bool:
    return frame.expected == INSPECTED and first.get(frame.frame_id, frame.source) != frame.source


def _by_source(items: Sequence[_Item]) -> dict[FrameSource, list[_Item]]:
    found: dict[FrameSource, list[_Item]] = defaultdict(list)
    for item in items:
        found[item.source].append(item)
    return dict(found)


def _later_of_its_kind(
    truth: Sequence[TrueFrame], alerts: Mapping[FrameSource, Sequence[SeenAlert]]
) -> dict[FrameSource, int]:
    """Return, for each frame, how many frames of its camera and verdict came after it."""
    after: Counter[tuple[str, bool]] = Counter()
    later: dict[FrameSource, int] = {}
    for frame in sorted(truth, key=lambda frame: (frame.partition, -frame.offset)):
        if frame.expected == INSPECTED:
            kind = (frame.camera_id, frame.source in alerts)
            later[frame.source] = after[kind]
            after[kind] += 1
    return later


def _writers(evidence: Evidence) -> dict[FrameSource, dict[datetime, int]]:
    """Return, for each frame, the generation of every writing of its result that the store took."""
    writers: dict[FrameSource, dict[datetime, int]] = defaultdict(dict)
    for batch in evidence.journal:
        for frame in batch.frames:
            if frame.status == StoreStatus.STORED:
                writers[frame.source][_moment(frame.inspected_at)] = batch.generation
    return dict(writers)


def _anomalous(alerts: Sequence[SeenAlert], result: SeenResult | None) -> bool:
    return bool(alerts) or (result is not None and result.label == PredLabel.ANOMALOUS)


def _of_one_scoring(alert: SeenAlert, result: SeenResult) -> bool:
    return (alert.weights_version, alert.score) == (result.weights_version, result.score)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _name(frame: TrueFrame) -> str:
    return f"{frame.frame_id} ({_at(frame.source)})"


def _at(source: FrameSource) -> str:
    return f"{source.partition}/{source.offset}"
