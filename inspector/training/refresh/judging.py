"""Both weights on the same frames, in turn: what the gate decides by."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.domain.result import PredLabel
from inspector.domain.text import shortened
from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.pipeline.gate_evidence import FrameEvidence, GateEvidence, PersonVerdict
from inspector.training.refresh.judged_frames import JudgedFrame
from inspector.vision.engine import InspectionEngine


class JudgingStoppedError(Exception):
    """Told to stop before all frames were judged."""


@dataclass
class _Taken:
    """Seconds that batches of both engines took, one pair a batch."""

    ratios: list[float] = field(default_factory=list)

    def add(self, current_s: float, candidate_s: float) -> None:
        self.ratios.append(candidate_s / max(current_s, 1e-9))

    @property
    def ratio(self) -> float:
        """The median over the batches: one that another process held up does not count."""
        return statistics.median(self.ratios) if self.ratios else 1.0


def judge_both(
    current: InspectionEngine,
    candidate: InspectionEngine,
    frames: Iterable[JudgedFrame],
    verdicts: Sequence[PersonVerdict] = (),
    batch: int = 8,
    stop: Callable[[], bool] = lambda: False,
) -> GateEvidence:
    """Score and judge each frame by both engines, as they would on the line, batch by batch in turn.

    A candidate that fails, or gives what is no number, is no error here: the evidence says so, and the gate refuses it;
    what it fails at once, it would fail on the line. A frame that cannot be decoded is left out.

    Raises:
        JudgingStoppedError: ``stop`` said so.
    """
    versions = (current.weights_version, candidate.weights_version)
    if not _golden(candidate):
        return GateEvidence((), 1.0, False, False, *versions, verdicts)
    taken, finite = _Taken(), True
    evidence: list[FrameEvidence] = []
    for some in _batches(_decoded(current, frames), batch):
        if stop():
            raise JudgingStoppedError
        pixels = [frame for frame, _ in some]
        began = time.perf_counter()
        by_current = current.inspect_with_raw(pixels)
        between = time.perf_counter()
        try:
            by_candidate = candidate.inspect_with_raw(pixels)
        except Exception as error:  # whatever it is, the weights that serve did not do it
            failure = f"after {len(evidence)} frames: {type(error).__name__}: {shortened(str(error))}"
            return GateEvidence(evidence, taken.ratio, finite, True, *versions, verdicts, failure)
        taken.add(between - began, time.perf_counter() - between)
        for (_, judged), (now, _), (then, raw) in zip(some, by_current, by_candidate, strict=True):
            numbers = math.isfinite(then.anomaly_score) and math.isfinite(raw.image_score)
            finite = finite and numbers and bool(np.isfinite(raw.anomaly_map).all())
            evidence.append(_evidence(judged, now, then))
    return GateEvidence(evidence, taken.ratio, finite, True, *versions, verdicts)


def _evidence(judged: JudgedFrame, current: Verdict, candidate: Verdict) -> FrameEvidence:
    meta = judged.frame.meta
    return FrameEvidence(
        frame_id=meta.frame_id,
        camera_id=meta.camera_id,
        anomalous=judged.anomalous,
        defect_type=judged.defect_type,
        corrected=bool(judged.persons),
        current_score=current.anomaly_score,
        candidate_score=candidate.anomaly_score,
        current_alarm=current.pred_label is PredLabel.ANOMALOUS,
        candidate_alarm=candidate.pred_label is PredLabel.ANOMALOUS,
        current_type=_type(current),
        candidate_type=_type(candidate),
        persons=judged.persons,
        trained_on=judged.trained_on,
        confirmed=judged.confirmed,
        in_doubt=judged.in_doubt,
    )


def _type(verdict: Verdict) -> str | None:
    """Return the type of the gravest defect, where there is an alarm."""
    alarm = verdict.pred_label is PredLabel.ANOMALOUS
    return verdict.defects[0].defect_type if alarm and verdict.defects else None


def _golden(candidate: InspectionEngine) -> bool:
    try:
        candidate.check_golden_batch()
    except BadInputError:
        return False
    return True


def _decoded(engine: InspectionEngine, frames: Iterable[JudgedFrame]) -> Iterator[tuple[DecodedFrame, JudgedFrame]]:
    for judged in frames:
        try:
            yield engine.decode(judged.frame), judged
        except FrameRejectedError:
            continue


def _batches(
    frames: Iterator[tuple[DecodedFrame, JudgedFrame]], size: int
) -> Iterator[list[tuple[DecodedFrame, JudgedFrame]]]:
    while some := list(islice(frames, size)):
        yield some
