"""One run of the trainer, step by step: tune, judge, decide, publish, record. Each step is done once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from inspector.apps.trainer.job import Begun, CompanionsNote, Job, TunedNote
from inspector.apps.trainer.judge_step import judge_candidate
from inspector.apps.trainer.record import record_of
from inspector.apps.trainer.tune_step import tune_candidate
from inspector.apps.trainer.world import Held, World, keep_record
from inspector.domain.errors import InspectorError, ServiceUnavailableError
from inspector.domain.gate import GateDecision
from inspector.domain.records import to_json
from inspector.domain.release import WeightsRelease
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun
from inspector.files import write_whole
from inspector.pipeline.gate import decide
from inspector.pipeline.gate_evidence import GateEvidence
from inspector.pipeline.ports import FencedError
from inspector.settings import Settings
from inspector.training.options import TrainingStoppedError
from inspector.training.refresh.judging import JudgingStoppedError
from inspector.training.refresh.run_folder import MOST_DEATHS, RunFolder
from inspector.training.refresh.tuning import steps_done

_STEPS = ("tuned", "companions", "evidence", "decision", "release", "record")


class StoppedError(Exception):
    """Told to stop; what was done is kept, and the next process goes on."""


class AbandonedError(Exception):
    """The run cannot end: its weights serve no more. The reason is for the record."""


class OneRun:
    """A run from wherever it stands to its end. ``tell`` hears, in words, what is being done."""

    def __init__(
        self,
        settings: Settings,
        world: World,
        folder: RunFolder,
        held: Held,
        begun: Begun,
        *,
        stop: Callable[[], bool],
        tell: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._world = world
        self._folder = folder
        self._held = held
        first = folder.step("begun", Begun, lambda: begun)
        self._begun = replace(begun, began_at=first.began_at, drifted=first.drifted)
        self._asked_to_stop = stop
        self._tell = tell

    def to_its_end(self) -> TrainerRun:
        """Do what is left to do, and return the record, which is then in the list of runs.

        Raises:
            StoppedError: told to stop.
            FencedError: another trainer has the lock.
            ServiceUnavailableError: Kafka, Redis or the samples are away; the same call goes on later.
        """
        deaths = self._folder.count_start(self._progress())
        try:
            record = self._folder.step("record", TrainerRun, lambda: self._outcome(deaths))
            keep_record(self._world, record)
        except (StoppedError, FencedError, ServiceUnavailableError):
            self._folder.ended_well()
            raise
        self._folder.close()
        return record

    def _progress(self) -> str:
        done = [name for name in _STEPS if self._folder.has(name)]
        return f"{done[-1] if done else 'begun'}, {steps_done(self._folder.tuning)} optimiser steps"

    def _outcome(self, deaths: int) -> TrainerRun:
        if deaths >= MOST_DEATHS:
            return self._record(TrainerOutcome.FAILED, (f"{deaths} processes have ended at: {self._progress()}",))
        try:
            decision = self._decided()
            if not decision.accepted:
                return self._record(TrainerOutcome.REFUSED, decision.reasons)
            self._folder.step("release", WeightsRelease, lambda: self._publish(decision))
        except (TrainingStoppedError, JudgingStoppedError) as error:
            if self._held.lost:
                raise FencedError("another trainer has the lock") from error
            raise StoppedError from error
        except AbandonedError as error:
            return self._record(TrainerOutcome.ABANDONED, (str(error),))
        except ServiceUnavailableError:
            raise
        except InspectorError as error:
            return self._record(TrainerOutcome.FAILED, (f"expected {error.expected}, got {error.got}: {error.do}",))
        return self._record(TrainerOutcome.PUBLISHED, decision.reasons)

    @cached_property
    def _job(self) -> Job:
        inputs, serving = self._folder.inputs, self._world.serving()
        _check_parent(inputs.parent_version, serving.version)
        return Job(self._settings, self._world, self._folder, inputs, serving, self._stop, self._tell)

    def _stop(self) -> bool:
        return self._held.lost or self._asked_to_stop()

    def _decided(self) -> GateDecision:
        self._folder.step("tuned", TunedNote, lambda: tune_candidate(self._job))
        evidence = self._folder.step("evidence", GateEvidence, lambda: judge_candidate(self._job))
        limits, seed = self._settings.gate.to_domain(), self._folder.inputs.recipe.options.seed
        decision = self._folder.step("decision", GateDecision, lambda: decide(evidence, limits, seed))
        if not self._folder.picture.exists():
            from inspector.training.gate_picture import draw_gate  # matplotlib takes a second to load

            write_whole(self._folder.picture, draw_gate(decision, evidence), alone=True)
        return decision

    def _publish(self, decision: GateDecision) -> WeightsRelease:
        companions = self._folder.read("companions", CompanionsNote).made
        for each in companions:
            self._world.artefacts.put(self._folder.artefact(each.version).read_bytes())
        # Asked again, and the lock last of all: whoever took it meanwhile has begun from these weights too. A candidate
        # that serves by now was published by a process that died before it could say so.
        serving = self._world.serving().version
        if serving != self._folder.read("tuned", TunedNote).version:
            _check_parent(self._folder.inputs.parent_version, serving)
        self._held.confirm()
        return self._world.publish(self._folder.candidate, to_json(decision), companions)

    def _record(self, outcome: TrainerOutcome, reasons: tuple[str, ...]) -> TrainerRun:
        return record_of(self._folder, self._world.artefacts, self._begun, outcome, reasons)


def _check_parent(parent_version: str, serving_version: str) -> None:
    if parent_version != serving_version:
        raise AbandonedError(f"it began from weights {parent_version[:12]}, and {serving_version[:12]} serve now")
