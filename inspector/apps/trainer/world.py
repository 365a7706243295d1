"""What a run of the trainer asks of the outside: weights in use, announcements, artefacts, publishing, records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from inspector.apps.kept_runs import kept_runs
from inspector.domain.artefact import Announcement
from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json, to_json
from inspector.domain.release import Companion, GoldenScores, Rollout, WeightsRelease
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.ports import ArtefactStore
from inspector.pipeline.rollout_advice import Advice
from inspector.pipeline.sample_port import SampleStore
from inspector.training.refresh.inputs import Inputs
from inspector.training.trainer import Made


class KeptArtefacts(ArtefactStore, Protocol):
    """Artefacts of which the old ones can be let go."""

    def retire(self, version: str) -> None:
        """Let a version that nothing names any more expire."""
        ...


class RunList(Protocol):
    """Versions of the records of runs, the latest first."""

    def add(self, version: str) -> Sequence[str]:
        """Put a record first; return the versions that it pushed out."""
        ...

    def last(self, n: int) -> Sequence[str]:
        """Return the versions of the last ``n`` runs."""
        ...

    def looked(self) -> None:
        """Note that there was nothing to do, or that it is done."""
        ...


class Held(Protocol):
    """The lock, as a run holds it."""

    @property
    def lost(self) -> bool:
        """Whether somebody else is known to have it."""
        ...

    def confirm(self) -> None:
        """See that it is still ours, now. Raises FencedError if not, ServiceUnavailableError if nobody can tell."""
        ...


@dataclass(frozen=True, slots=True)
class Serving:
    """The weights that serve now, and what was released with them; ``rollout`` None: nothing was ever rolled out."""

    made: Made = field(repr=False)
    companions: tuple[Companion, ...] = ()
    rollout: Rollout | None = None
    golden: GoldenScores | None = None

    @property
    def version(self) -> str:
        """Version of the weights."""
        return self.made[1].version


@dataclass(frozen=True, slots=True)
class World:
    """The outside, as functions and stores; every one may raise ``ServiceUnavailableError``.

    ``drifted`` returns the cameras that are not what they were, as far as that can be told.
    """

    book: Callable[[], FeedbackBook]
    keep_samples: Callable[[FeedbackBook], None]
    samples: SampleStore
    serving: Callable[[], Serving]
    announcements: Callable[[], Sequence[Announcement]]
    publish: Callable[[Path, bytes, Sequence[Companion]], WeightsRelease]
    advance: Callable[[], Advice]
    drifted: Callable[[], Sequence[str]]
    artefacts: KeptArtefacts
    runs: RunList


def last_run(world: World) -> TrainerRun | None:
    """Return the record of the last run; None where there is none, or nobody can read it."""
    return next(iter(runs(world, 1)), None)


def runs(world: World, n: int) -> list[TrainerRun]:
    """Return the records of the last ``n`` runs, the latest first; what cannot be read is left out."""
    return kept_runs(world.runs.last(n), world.artefacts)


def inputs_of(world: World, run: TrainerRun) -> Inputs | None:
    """Return what a run learnt from, where it is still kept and can be read."""
    if run.inputs_version is None:
        return None
    try:
        return from_json(Inputs, world.artefacts.get(run.inputs_version))
    except BadInputError:
        return None


def keep_record(world: World, run: TrainerRun) -> None:
    """Put a run's record into the list, once however often it is done, and let go what that pushes out."""
    for version in world.runs.add(world.artefacts.put(to_json(run))):
        try:
            old = from_json(TrainerRun, world.artefacts.get(version))
        except BadInputError:
            continue
        # The gate's report belongs to the release that names it, where one came of the run.
        report = None if old.outcome is TrainerOutcome.PUBLISHED else old.gate_version
        for gone in (version, old.inputs_version, report, old.picture_version):
            if gone is not None:
                world.artefacts.retire(gone)
