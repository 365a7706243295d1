"""What every command that reads or changes the rollout asks: what stands, less what was vetoed, and what it lacks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from inspector.adapters.kafka.weights_feed import PublishedWeights
from inspector.apps import wiring
from inspector.apps.release_companions import in_words, lacking
from inspector.domain.errors import BadInputError
from inspector.domain.release import Rollout, RolloutStage
from inspector.pipeline.rollout import canaries, heeding
from inspector.pipeline.rollout_advice import living
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.adapters.redis.rollout_store import RedisRolloutStore

_SENDS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class RolloutDesk:
    """The settings of a line, and what its inspectors tell of versions on trial."""

    settings: Settings
    store: RedisRolloutStore

    def standing(self, found: PublishedWeights) -> Rollout:
        """Return the rollout as it stands on the topic. Raises BadInputError where nothing was published."""
        if found.rollout is None:
            raise BadInputError("published weights", "none", "`inspector weights publish FILE` first")
        return found.rollout

    def heeded(self, found: PublishedWeights) -> Rollout:
        """Return the rollout as inspectors serve it: every change begins from it. Raises as ``standing``."""
        rollout = self.standing(found)
        return heeding(rollout, self.store.vetoes(rollout.versions).keys())

    def refuse_spoken_against(self, version: str, vetoes: Mapping[str, str]) -> None:
        """Refuse weights that were vetoed, or that an inspector which is there has refused. Raises BadInputError."""
        against = [f"vetoed: {why}" for why in vetoes.values()]
        standings = living(self.store.standings(version), self.store.now())
        against += [f"refused by {replica}: {each.refused}" for replica, each in standings.items() if each.refused]
        if against:
            raise BadInputError("weights that nothing speaks against", "; ".join(against), "add --force to lift it")

    def refuse_lacking(self, found: PublishedWeights, stable: str, version: str) -> None:
        """Refuse to let weights serve without the banks that cameras have today. Raises BadInputError."""
        if lacks := lacking(self.settings, found.releases, stable, version):
            raise BadInputError(
                f"banks and calibrations for {version[:12]} on all cameras that have some today",
                f"none for {in_words(lacks)}",
                "enrol or calibrate these while it is on trial, which makes them for it too, or add --force",
            )

    def sending(self) -> Collection[str]:
        """Return the cameras that sent something within a day of the latest result; none where there are no results."""
        cameras = wiring.results(self.settings).cameras()
        newest = max(cameras.values(), default=None)
        return [each for each, seen_at in cameras.items() if newest is not None and newest - seen_at <= _SENDS]

    def hindrances(self, found: PublishedWeights, rollout: Rollout) -> tuple[str, ...]:
        """Return, in words, what a candidate lacks to go a stage on."""
        candidate = rollout.candidate_version
        if candidate is None:
            return ()
        said = []
        if lacks := lacking(self.settings, found.releases, rollout.stable_version, candidate):
            said.append(f"no bank or calibration of its own for {in_words(lacks)}")
        sending = self.sending()
        if rollout.stage is RolloutStage.CANARY and sending and not canaries(rollout.canary_share, sending):
            said.append(f"none of the {len(sending)} cameras that send is a canary at {rollout.canary_share:.2%}")
        return tuple(said)


def desk(settings: Settings) -> RolloutDesk:
    """Return the desk of a line. Raises as ``wiring.rollout_store``."""
    return RolloutDesk(settings, wiring.rollout_store(settings))
