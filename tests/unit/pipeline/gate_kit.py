"""A made-up line for the gate: cameras, types and people, and two judges whose scores follow known laws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from inspector.pipeline.gate import FrameEvidence, GateEvidence

CAMERAS = ("cam1", "cam2", "cam3", "cam4")
TYPES = ("scratch", "dent", "hole")
NEW_TYPE = "burr"
PEOPLE = ("anna", "ben", "chloe")
THRESHOLD = 0.5

# Of scores at a threshold of 0.5: the current weights miss nearly a tenth of the known types and raise a false alarm on
# half a percent of good frames; they see as little of the new type as of anything else.
NORMAL, KNOWN, UNKNOWN, SPREAD = 0.24, 0.63, 0.35, 0.1


@dataclass(frozen=True)
class Line:
    """How many frames: ``frozen`` good and defective ones a camera, ``corrected`` of the new type in all.

    ``doubtful`` normal ones a camera come on top, kept after the new type appeared: a share of ``missed`` of them shows
    it. ``selected``: as on the line, a frame is among the normal ones only if the current weights did not alarm on it;
    those in doubt always are.
    """

    frozen_normal: int = 50
    frozen_anomalous: int = 40
    corrected: int = 40
    doubtful: int = 0
    missed: float = 0.0
    selected: bool = False

    def frames(self, seed: int, changes: float = 0.02) -> list[FrameEvidence]:
        """Return frames on which the candidate is better by the new type alone.

        It sees the new type as well as the others; elsewhere neither is better, and each score has noise of its own, of
        a standard deviation of ``changes``.
        """
        random = np.random.default_rng(seed)
        kinds = [(camera, False, None) for camera in CAMERAS for _ in range(self.frozen_normal)]
        kinds += [(camera, True, TYPES[i % len(TYPES)]) for camera in CAMERAS for i in range(self.frozen_anomalous)]
        frames = [self._drawn(i, kind, random, changes) for i, kind in enumerate(kinds)]
        frames += [self._corrected(i, random) for i in range(self.corrected)]
        places = [camera for camera in CAMERAS for _ in range(self.doubtful)]
        return frames + [self._doubtful(i, camera, random, changes) for i, camera in enumerate(places)]

    def _doubtful(self, number: int, camera: str, random: np.random.Generator, changes: float) -> FrameEvidence:
        while True:
            frame = self._frozen(number, (camera, False, None), random, changes)
            if random.random() < self.missed:
                frame = judged(frame, random.normal(UNKNOWN, SPREAD), random.normal(KNOWN, SPREAD))
            if not frame.current_alarm:
                return replace(frame, frame_id=f"doubtful-{number}", in_doubt=True)

    def _drawn(
        self, number: int, kind: tuple[str, bool, str | None], random: np.random.Generator, changes: float
    ) -> FrameEvidence:
        frame = self._frozen(number, kind, random, changes)
        while self.selected and not kind[1] and frame.current_alarm:
            frame = self._frozen(number, kind, random, changes)
        return frame

    def _frozen(
        self, number: int, kind: tuple[str, bool, str | None], random: np.random.Generator, changes: float
    ) -> FrameEvidence:
        camera, anomalous, defect_type = kind
        looks = random.normal(KNOWN if anomalous else NORMAL, np.sqrt(SPREAD**2 - changes**2))
        frame = FrameEvidence(f"frozen-{number}", camera, anomalous, defect_type, False, 0, 0, False, False)
        return judged(frame, looks + random.normal(0, changes), looks + random.normal(0, changes))

    def _corrected(self, number: int, random: np.random.Generator) -> FrameEvidence:
        person = PEOPLE[number % len(PEOPLE)]
        frame = FrameEvidence(
            f"corrected-{number}", CAMERAS[number % len(CAMERAS)], True, NEW_TYPE, True, 0, 0, False, False,
            persons=(person,), trained_on=number % 5 > 0,
        )  # fmt: skip
        return judged(frame, random.normal(UNKNOWN, SPREAD), random.normal(KNOWN, SPREAD), current_type="scratch")


def judged(
    frame: FrameEvidence, current_score: float, candidate_score: float, current_type: str | None = None
) -> FrameEvidence:
    """Return the frame with both scores and what follows from them; types are right where nothing else is said."""
    current, candidate = float(np.clip(current_score, 0, 1)), float(np.clip(candidate_score, 0, 1))
    named = frame.defect_type or "scratch"
    return replace(
        frame,
        current_score=current,
        candidate_score=candidate,
        current_alarm=current >= THRESHOLD,
        candidate_alarm=candidate >= THRESHOLD,
        current_type=(current_type or named) if current >= THRESHOLD else None,
        candidate_type=named if candidate >= THRESHOLD else None,
    )


def rescored(frames: Sequence[FrameEvidence], candidate_score: Callable[[FrameEvidence], float]) -> list[FrameEvidence]:
    """Return the frames with other scores of the candidate, the current's as they are."""
    found = []
    for frame in frames:
        score = candidate_score(frame)
        alarm = bool(score >= THRESHOLD)
        named = (frame.defect_type or "scratch") if alarm else None
        found.append(replace(frame, candidate_score=score, candidate_alarm=alarm, candidate_type=named))
    return found


def evidence(frames: Sequence[FrameEvidence], **changes: object) -> GateEvidence:
    """Return sound evidence of these frames, changed as said."""
    made = GateEvidence(frames, 1.0, True, True, "a" * 64, "b" * 64)
    return replace(made, **changes)  # type: ignore[arg-type]  # fields by name, as the tests spell them
