"""Both weights on the same frames: what the gate is told of each, of time, and of numbers that are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from refresh_kit import NOW

from inspector.domain.defect import Box, Defect
from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.outcome import RejectReason
from inspector.domain.result import PredLabel, ScoreMode
from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.pipeline.gate_evidence import GateEvidence, PersonVerdict
from inspector.training.refresh.judged_frames import JudgedFrame
from inspector.training.refresh.judging import JudgingStoppedError, judge_both
from inspector.vision.judge import RawScores


class Scripted:
    """An engine that says what it was told to: frames whose id is in ``alarms`` are anomalous, of type dent."""

    def __init__(self, version: str, alarms: str, *, golden: bool = True, score: float = 0.4) -> None:
        self.weights_version = version
        self._alarms = alarms
        self._golden = golden
        self._score = score
        self.batches: list[int] = []

    def check_golden_batch(self) -> None:
        if not self._golden:
            raise BadInputError("numbers", "none", "use others")

    def decode(self, frame: Frame) -> DecodedFrame:
        if frame.image == b"broken":
            raise FrameRejectedError(RejectReason.UNDECODABLE, "no image")
        return DecodedFrame(frame, np.zeros((4, 4, 3), np.uint8))

    def inspect_with_raw(self, frames: Sequence[DecodedFrame]) -> list[tuple[Verdict, RawScores]]:
        self.batches.append(len(frames))
        return [self._said(frame.frame.meta.frame_id) for frame in frames]

    def _said(self, frame_id: str) -> tuple[Verdict, RawScores]:
        label = PredLabel.ANOMALOUS if frame_id in self._alarms else PredLabel.NORMAL
        box = Box(0, 0, 1, 1)
        defect = Defect("dent", 0.9, 500, 1, 0.1, box, (), "a dent")  # listed for a normal frame too: it must not count
        raw = RawScores(self._score, np.full((4, 4), self._score, np.float32), np.zeros((1, 2, 2), np.float32))
        return Verdict(self._score, label, 0.5, ScoreMode.ZERO_SHOT, (defect,)), raw


def judged(frame_id: str, image: bytes = b"", **truth: Any) -> JudgedFrame:
    meta = FrameMeta(frame_id, "cam1", "", "plate", NOW, "image/png")
    return JudgedFrame(Frame(meta, FrameSource("t", 0, 0), image), **{"anomalous": False, "defect_type": None, **truth})


def by(current: Scripted, candidate: Scripted, frames: Sequence[JudgedFrame], **more: Any) -> GateEvidence:
    return judge_both(current, candidate, frames, **more)  # type: ignore[arg-type]  # as much of an engine as it asks


def test_each_frame_is_told_with_its_truth_and_both_verdicts() -> None:
    frames = [
        judged("a", anomalous=True, defect_type="dent", persons=("anna",), trained_on=True),
        judged("b"),
        judged("x", b"broken"),
    ]
    verdicts = (PersonVerdict("ben", "c", True),)
    current, candidate = Scripted("w1", ""), Scripted("w2", "ab")
    found = by(current, candidate, frames, verdicts=verdicts, batch=1)
    first, second = found.frames
    assert (first.current_alarm, first.candidate_alarm, first.current_type, first.candidate_type) == (
        False, True, None, "dent",
    )  # fmt: skip
    assert (first.corrected, first.persons, first.trained_on, first.defect_type) == (True, ("anna",), True, "dent")
    assert (second.corrected, second.trained_on, second.candidate_alarm) == (False, False, True)
    assert (found.current_version, found.candidate_version, found.verdicts) == ("w1", "w2", verdicts)
    assert (found.finite, found.golden_ok, current.batches) == (True, True, [1, 1])
    assert found.candidate_latency_ratio > 0


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_candidate_that_gives_no_numbers_is_told(score: float) -> None:
    assert not by(Scripted("w1", ""), Scripted("w2", "", score=score), [judged("a")]).finite


def test_a_candidate_that_fails_the_golden_batch_is_shown_no_frame() -> None:
    candidate = Scripted("w2", "", golden=False)
    found = by(Scripted("w1", ""), candidate, [judged("a")])
    assert (found.golden_ok, found.finite, candidate.batches, list(found.frames)) == (False, False, [], [])


def test_told_to_stop_it_stops_between_two_batches() -> None:
    candidate = Scripted("w2", "")
    with pytest.raises(JudgingStoppedError):
        by(Scripted("w1", ""), candidate, [judged("a"), judged("b")], batch=1, stop=lambda: bool(candidate.batches))
    assert candidate.batches == [1]


def test_a_candidate_that_raises_is_told_and_no_error_of_the_run() -> None:
    class Failing(Scripted):
        def inspect_with_raw(self, frames: Sequence[DecodedFrame]) -> list[tuple[Verdict, RawScores]]:
            if self.batches:
                raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
            return super().inspect_with_raw(frames)

    found = by(Scripted("w1", ""), Failing("w2", ""), [judged("a"), judged("b"), judged("c")], batch=1)
    assert found.failure == "after 1 frames: RuntimeError: mat1 and mat2 shapes cannot be multiplied"
    assert [frame.frame_id for frame in found.frames] == ["a"]


def test_doubts_and_confirmations_come_along() -> None:
    frames = [judged("a", in_doubt=True), judged("b", persons=("anna",), confirmed=True)]
    first, second = by(Scripted("w1", ""), Scripted("w2", ""), frames).frames
    assert (first.in_doubt, first.confirmed, second.in_doubt, second.confirmed) == (True, False, False, True)
