"""What the steps of one run share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from inspector.apps.trainer.world import Serving, World
from inspector.domain.release import Companion
from inspector.settings import Settings
from inspector.training.refresh.companions import normals_by_camera
from inspector.training.refresh.inputs import Inputs, KnownFrame
from inspector.training.refresh.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Begun:
    """When a run began, and by whom; which cameras had drifted by then."""

    began_at: datetime
    holder: str
    token: int
    drifted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TunedNote:
    """What the tuning left, beside the candidate's file."""

    version: str
    steps: int
    seconds: float
    examples: Mapping[str, int]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompanionsNote:
    """The banks and calibrations of the candidate, whose bytes lie in the run's folder; whose there are none."""

    made: tuple[Companion, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A run's folder and inputs, the weights that serve, and the outside. ``tell`` hears what is being done."""

    settings: Settings
    world: World
    folder: RunFolder
    inputs: Inputs
    serving: Serving
    stop: Callable[[], bool]
    tell: Callable[[str], None]

    def normals(self) -> Mapping[str, Sequence[KnownFrame]]:
        """Return normal frames of each camera that may be painted on, and that banks and thresholds are made of."""
        return normals_by_camera(self.inputs.teaching, self.settings.trainer.normals_per_camera)
