"""What serving several weights versions asks of the outside: releases announced, engines made of them, notes kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from inspector.domain.release import Rollout, WeightsRelease
from inspector.pipeline.comparison import Comparison, Difference
from inspector.pipeline.engine_ports import Engine
from inspector.pipeline.rollout import Watched


class WeightsFeed(Protocol):
    """Records of ``inspection.weights``, from its beginning."""

    def poll(self) -> Sequence[WeightsRelease | Rollout]:
        """Return what arrived since the last call, oldest first; the first call the live record of each key.

        Raises:
            ServiceUnavailableError: the brokers cannot be reached.
        """
        ...

    def close(self) -> None:
        """Close; never raises."""
        ...


class EngineLoader(Protocol):
    """Makes engines; called from a thread of its own while another engine scores."""

    def settings_version(self) -> str:
        """Return the version of the weights that the settings name."""
        ...

    def from_settings(self) -> Engine:
        """Return an engine with these weights, tried and warm.

        Raises:
            BadInputError: the model or its weights are not what they should be.
        """
        ...

    def load(self, release: WeightsRelease, *, beside: bool) -> tuple[Engine, int]:
        """Return an engine with a release's weights, verified, tried and warm, and how many bytes it takes.

        ``beside``: another engine is in memory, so that this one must keep to what is planned for a second.

        Raises:
            BadInputError: an artefact is missing or damaged, the weights are for another model, not finite, score the
                golden batch with no numbers, or take more memory than is planned for them.
            ServiceUnavailableError: the artefact store is away; trying again later is safe.
        """
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How a release fares in one inspector: ``refused`` says why it does not serve there; None: it is ready.

    ``said_at``, by the store's clock, is the store's to fill in: an inspector repeats what holds, and is gone where it
    does not.
    """

    memory_bytes: int = 0
    refused: str | None = None
    said_at: datetime | None = None


class RolloutStore(Protocol):
    """What inspectors tell each other, and people, of versions on trial.

    Every method raises ServiceUnavailableError when the store is away; repeating the call is safe, though figures that
    were added may then count twice.
    """

    def now(self) -> datetime:
        """Return the time (UTC) by the clock that everybody who uses the store shares; rollouts are dated by it."""
        ...

    def vetoes(self, versions: Collection[str]) -> Mapping[str, str]:
        """Return the reason of each of these versions that is vetoed."""
        ...

    def veto(self, version: str, reason: str, replica: str) -> None:
        """Let no inspector serve a version; the first reason stays."""
        ...

    def begin_trial(self, version: str, replica: str) -> int:
        """Note that an inspector is about to load a version; return how many of its tries, this one too, never ended.

        A load that ends the process, as one that takes too much memory does, is so known after the restart. It is 0 for
        a version that has passed here.
        """
        ...

    def end_trial(self, version: str, replica: str, *, passed: bool) -> None:
        """Note that a load ended, and not with the process. ``passed``: its later loads are no trials any more."""
        ...

    def report(self, version: str, replica: str, standing: Standing) -> None:
        """Say how a version fares here, now."""
        ...

    def add(self, trial: Watched, comparison: Comparison, differences: Sequence[Difference]) -> None:
        """Add what was found in a trial since the last call."""
        ...
