"""Engines of one or two weights versions behind the face of one: ``engine_ports.ServingEngine``.

A batch of the loop is split by version, and each part is scored by ONE engine, named in its verdicts. Which versions
there are changes by ``serve`` only, on the thread that scores, and so between two batches. The version on trial may
fail: then the one it is held against judges its frames, and nothing is lost but time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from inspector.domain.frame import Frame
from inspector.domain.product import CameraSettings
from inspector.domain.release import Rollout
from inspector.pipeline.comparison import Pair, pair
from inspector.pipeline.engine_ports import DecodedFrame, ServingEngine, Verdict
from inspector.pipeline.rollout import Watched, version_for


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """Which engines serve; never changed, only replaced whole, so that any thread sees one state or another.

    ``main`` serves, but for the cameras that ``rollout`` gives to ``second``; None: it gives none. ``on_trial``: its
    subject is one of the two versions and its reference the other; None: nothing is compared.
    """

    main: ServingEngine
    second: ServingEngine | None = None
    rollout: Rollout | None = None
    on_trial: Watched | None = None

    def is_as(self, other: Serving) -> bool:
        """Tell whether two states are of the same engines and the same words on them."""
        engines = self.main is other.main and self.second is other.second
        return engines and (self.rollout, self.on_trial) == (other.rollout, other.on_trial)

    def engine_for(self, camera_id: str) -> ServingEngine:
        """Return the engine whose verdicts count for a camera."""
        if self.second is None or self.rollout is None:
            return self.main
        wanted = version_for(self.rollout, camera_id)
        return self.second if wanted == self.second.weights_version else self.main

    def other(self, engine: ServingEngine) -> ServingEngine | None:
        """Return the engine of the other version on trial; None while nothing is compared."""
        if self.second is None or self.on_trial is None:
            return None
        return self.main if engine is self.second else self.second

    def is_subject(self, engine: ServingEngine) -> bool:
        """Tell whether it is this engine's version that is on trial."""
        return self.on_trial is not None and engine.weights_version == self.on_trial.subject


@dataclass(frozen=True, slots=True)
class Observation:
    """What one batch showed of the version on trial; see ``comparison.Comparison`` and ``RolloutGuard``.

    ``failure``: what it failed with, where it did.
    """

    version: str
    pairs: tuple[Pair, ...] = ()
    served: int = 0
    asked: int = 0
    failures: int = 0
    subject_s: float = 0.0
    reference_s: float = 0.0
    failure: str = ""


OnObserved = Callable[[Observation], None]


@dataclass(slots=True)
class _Part:
    """Frames of the last batch that one engine judged, and how long it took."""

    engine: ServingEngine
    frames: list[DecodedFrame]
    verdicts: list[Verdict]
    took_s: float


@dataclass(slots=True)
class _Last:
    """The last batch, kept until ``after_batch`` has looked at it."""

    serving: Serving
    parts: list[_Part] = field(default_factory=list)


class EngineVersions:
    """``decode``, ``decoded_bytes`` and ``find_camera`` may be called from any thread, the rest from the scoring one.

    ``shadow_share``: how much time the comparison may take at most, as a share of the time that serving takes: at 0.25
    a line that was busy all the time keeps four fifths of its speed. Whole batches are compared, every so often, so
    that both versions are timed on batches of one size.
    """

    def __init__(
        self,
        first: ServingEngine,
        shadow_share: float,
        on_observed: OnObserved,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._serving = Serving(first)
        self._on_observed = on_observed
        self._clock = clock
        self._budget = _TimeBudget(shadow_share)
        self._last: _Last | None = None

    @property
    def serving(self) -> Serving:
        """What serves now."""
        return self._serving

    @property
    def weights_version(self) -> str:
        """Version of the weights that serve all cameras but canaries."""
        return self._serving.main.weights_version

    @property
    def model_name(self) -> str:
        """Name of the model: versions are of one model."""
        return self._serving.main.model_name

    def serve(self, serving: Serving) -> None:
        """Use these engines from the next batch on."""
        self._serving = serving
        self._last = None

    def find_camera(self, camera_id: str) -> CameraSettings | None:
        """See ``engine_ports.Engine``."""
        return self._serving.engine_for(camera_id).find_camera(camera_id)

    def decoded_bytes(self, frame: Frame) -> int:
        """See ``engine_ports.Engine``."""
        return self._serving.engine_for(frame.meta.camera_id).decoded_bytes(frame)

    def decode(self, frame: Frame) -> DecodedFrame:
        """See ``engine_ports.Engine``; one that finds a frame decoded for other tiles decodes it again."""
        return self._serving.engine_for(frame.meta.camera_id).decode(frame)

    def is_sound(self) -> bool:
        """See ``engine_ports.Engine``."""
        return self._serving.main.is_sound()

    def inspect(self, frames: Sequence[DecodedFrame]) -> Sequence[Verdict]:
        """See ``engine_ports.Engine``; each verdict names the version it is of."""
        serving = self._serving
        found: dict[int, Verdict] = {}
        last = _Last(serving)
        for engine, places in _by_engine(serving, frames):
            some = [frames[place] for place in places]
            part = self._judged(serving, engine, some)
            found.update(zip(places, part.verdicts, strict=True))
            self._budget.served(part.took_s)
            if part.engine is engine:  # what fell back to the reference has been before both already
                last.parts.append(part)
            if serving.is_subject(part.engine):
                self._on_observed(Observation(part.engine.weights_version, served=len(some), asked=len(some)))
        self._last = last
        return [found[place] for place in range(len(frames))]

    def after_batch(self) -> None:
        """Let the other version judge the last batch too, if there is time for it; nothing follows for its frames.

        Called when the batch's verdicts are on their way; never raises.
        """
        last, self._last = self._last, None
        if last is None or not self._budget.allows():
            return
        for part in last.parts:
            other = last.serving.other(part.engine)
            if other is not None:
                self._compare(last.serving, part, other)

    def _judged(self, serving: Serving, engine: ServingEngine, frames: list[DecodedFrame]) -> _Part:
        started_s = self._clock()
        reference = serving.other(engine) if serving.is_subject(engine) else None
        if reference is None:
            verdicts = engine.inspect(frames)
        else:
            try:
                verdicts = _checked(engine.inspect(frames))
            except Exception as error:
                verdicts = reference.inspect(frames)  # raises where the frames are to blame, or the machine
                version = engine.weights_version
                self._on_observed(_failed(version, frames, error))
                engine = reference
        named = [replace(verdict, weights_version=engine.weights_version) for verdict in verdicts]
        return _Part(engine, frames, named, self._clock() - started_s)

    def _compare(self, serving: Serving, part: _Part, other: ServingEngine) -> None:
        started_s = self._clock()
        subject = other if serving.is_subject(other) else part.engine
        version = subject.weights_version
        try:
            verdicts = _checked(other.inspect(part.frames))
        except Exception as error:
            self._budget.compared(self._clock() - started_s)
            if subject is other:
                self._on_observed(_failed(version, part.frames, error))
            return
        took_s = self._clock() - started_s
        self._budget.compared(took_s)
        both = zip(part.frames, part.verdicts, verdicts, strict=True)
        if subject is other:
            pairs = [_pair(frame, of_other, served) for frame, served, of_other in both]
            times = (took_s, part.took_s)
        else:
            pairs = [_pair(frame, served, of_other) for frame, served, of_other in both]
            times = (part.took_s, took_s)
        if not all(pair.comparable for pair in pairs):
            times = (0.0, 0.0)  # a frame with a reference takes longer than one without, whatever the version
        asked = len(pairs) if subject is other else 0
        self._on_observed(Observation(version, tuple(pairs), 0, asked, 0, *times))


class _TimeBudget:
    """Time for comparing grows with the time spent serving, and may be overdrawn by one batch."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._left_s = 0.0

    def served(self, took_s: float) -> None:
        # Not saved up without end: after a quiet night a busy morning would pay for it.
        self._left_s = min(self._left_s + self._share * took_s, took_s)

    def compared(self, took_s: float) -> None:
        self._left_s -= took_s

    def allows(self) -> bool:
        return self._left_s > 0 and self._share > 0


def _by_engine(serving: Serving, frames: Sequence[DecodedFrame]) -> list[tuple[ServingEngine, list[int]]]:
    """Return each engine with the places of its frames, in their order."""
    parts: dict[str, tuple[ServingEngine, list[int]]] = {}
    for place, frame in enumerate(frames):
        engine = serving.engine_for(frame.frame.meta.camera_id)
        parts.setdefault(engine.weights_version, (engine, []))[1].append(place)
    return list(parts.values())


def _checked(verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
    """Return verdicts that can be ones.

    Raises:
        ValueError: a score is no number from 0 to 1.
    """
    for verdict in verdicts:
        if not (math.isfinite(verdict.anomaly_score) and 0 <= verdict.anomaly_score <= 1):
            raise ValueError(f"an anomaly score of {verdict.anomaly_score}")
    return verdicts


def _failed(version: str, frames: Sequence[DecodedFrame], error: Exception) -> Observation:
    count = len(frames)
    return Observation(version, asked=count, failures=count, failure=f"{type(error).__name__}: {error}")


def _pair(frame: DecodedFrame, subject: Verdict, reference: Verdict) -> Pair:
    return pair(frame.frame.meta.frame_id, frame.frame.meta.camera_id, subject, reference)
