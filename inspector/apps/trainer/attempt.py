"""One look at whether there is anything to do, and doing it under the lock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from inspector.adapters.redis.trainer_lock import Busy, KeptLease, TrainerLock
from inspector.apps.trainer import engines
from inspector.apps.trainer.job import Begun, TunedNote
from inspector.apps.trainer.one_run import OneRun
from inspector.apps.trainer.world import Serving, World, inputs_of, last_run
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.settings import Settings
from inspector.training.options import TrainingOptions
from inspector.training.refresh.due import Due, Known, due
from inspector.training.refresh.gathering import Wanted, corrections, gather
from inspector.training.refresh.inputs import Recipe
from inspector.training.refresh.run_folder import RunFolder, begin_run, note_plan, noted_plan, open_run

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """Why there was nothing to do. ``busy``: for this trainer, because another one is at it."""

    reason: str
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Attempts:
    """Looks at what there is to do, as often as it is asked. ``tell`` hears, in words, what is being done.

    ``on_running`` hears when a run begins or goes on, and when it is over or given up.
    """

    settings: Settings
    world: World
    lock: TrainerLock
    stop: Callable[[], bool]
    tell: Callable[[str], None]
    on_running: Callable[[bool], None] = lambda _: None

    def attempt(self, *, now_at_once: bool = False) -> TrainerRun | NothingToDo:
        """Finish the run that was begun, or begin one if it is due or, with ``now_at_once``, in any case.

        That it looked, and what there was to do is done, is noted for who watches the line.

        Raises:
            StoppedError: told to stop.
            FencedError: another trainer has taken the lock meanwhile.
            ServiceUnavailableError: Kafka, Redis or the samples are away.
            InspectorError: weights for another model, or something else that a person has to mend.
        """
        found = self._attempt(now_at_once)
        if isinstance(found, TrainerRun) or not found.busy:
            try:
                self.world.runs.looked()
            except ServiceUnavailableError as error:  # the run has ended for all that
                _log.warning("that the trainer looked is not noted: %s", error)
        return found

    def _attempt(self, now_at_once: bool) -> TrainerRun | NothingToDo:
        serving, begun = self.world.serving(), open_run(self._work)
        waiting = self._waits_for(serving)
        if waiting is not None and not (begun is not None and _is_out(begun, serving)):
            return waiting
        if begun is None:
            found = self._due(self.world.book(), now_at_once)
            if not found.run:
                return NothingToDo(found.reason)
        holder = self.settings.replica
        lease = self.lock.take(holder)
        if isinstance(lease, Busy):
            left = f"whose lock runs out in {lease.left_s:.0f} s if it is dead"
            return NothingToDo(f"{lease.holder} is at work, {left}", busy=True)
        with KeptLease(self.lock, lease) as held:
            folder = self._begun(now_at_once)
            if isinstance(folder, NothingToDo):
                return folder
            now = Begun(datetime.now(UTC), holder, lease.token, tuple(self.world.drifted()))
            run = OneRun(self.settings, self.world, folder, held, now, stop=self.stop, tell=self.tell)
            self.on_running(True)
            try:
                return run.to_its_end()
            finally:
                self.on_running(False)

    @property
    def _work(self) -> Path:
        return self.settings.trainer.work

    @staticmethod
    def _waits_for(serving: Serving) -> NothingToDo | None:
        rollout = serving.rollout
        if rollout is None:
            return None
        if rollout.pinned:
            return NothingToDo(f"weights are pinned to {rollout.stable_version[:12]} by {rollout.decided_by}")
        if rollout.candidate_version is not None:
            return NothingToDo(f"candidate {rollout.candidate_version[:12]} is on trial, in stage {rollout.stage}")
        return None

    def _due(self, book: FeedbackBook, now_at_once: bool) -> Due:
        if now_at_once:
            return Due(True, "asked for")
        last = last_run(self.world)
        before = None if last is None else inputs_of(self.world, last)
        taken_in = frozenset(before.feedback_ids if before is not None else ())
        set_aside = set(last.set_aside if last is not None else ()) - set(
            before.set_aside if before is not None else ()
        )
        drifted = set(self.world.drifted()) - set(last.drifted if last is not None else ())
        known = Known(last, len(corrections(book) - taken_in), tuple(sorted(set_aside)), tuple(sorted(drifted)))
        trainer = self.settings.trainer
        interval = timedelta(seconds=trainer.interval_s)
        return due(known, trainer.after_corrections, interval, datetime.now(UTC))

    def _begun(self, now_at_once: bool) -> RunFolder | NothingToDo:
        """Return the run that is open, or a new one; asked again, now that nobody else can answer meanwhile."""
        folder = open_run(self._work)
        if folder is not None:
            self.tell(f"going on with run {folder.run_id}")
            return folder
        book = self.world.book()
        found = self._due(book, now_at_once)
        if not found.run:
            return NothingToDo(found.reason)
        try:
            self.world.keep_samples(book)
        except ServiceUnavailableError as error:  # as for a full disk: what was kept before can be learnt from
            self.tell(f"nothing is added to the samples: {error}")
        last = last_run(self.world)
        wanted = self._wanted(last)
        # Asked of the metadata first: to copy all samples at each look, to find nothing new, would wear a disk out.
        planned = gather(book, self.world.samples, wanted, None).run_id
        done = last is not None and last.outcome is not TrainerOutcome.ABANDONED
        if last is not None and done and noted_plan(self._work) == (planned, last.run_id):
            return _nothing_new(last)
        self.tell(f"a run begins: {found.reason}")
        folder = begin_run(self._work, lambda images: gather(book, self.world.samples, wanted, images))
        note_plan(self._work, planned, folder.run_id)
        if last is not None and done and last.run_id == folder.run_id:
            folder.discard()
            return _nothing_new(last)
        return folder

    def _wanted(self, last: TrainerRun | None) -> Wanted:
        world = self.world
        return Wanted(
            parent_version=world.serving().version,
            products=engines.current_products(self.settings, world.announcements(), world.artefacts),
            recipe=_recipe(self.settings, world.serving()),
            normals_per_camera=self.settings.trainer.normals_per_camera,
            set_aside=() if last is None else last.set_aside,
        )


def _nothing_new(last: TrainerRun) -> NothingToDo:
    return NothingToDo(f"nothing new since run {last.run_id}, which was {last.outcome}")


def _is_out(folder: RunFolder, serving: Serving) -> bool:
    """Tell whether a run's candidate is already on trial or serves: it was killed before it could say so."""
    if serving.rollout is None or not folder.has("tuned"):
        return False
    version = folder.read("tuned", TunedNote).version
    return version in (serving.rollout.candidate_version, serving.rollout.stable_version)


def _recipe(settings: Settings, serving: Serving) -> Recipe:
    trainer, manifest = settings.trainer, serving.made[1]
    options = TrainingOptions(
        epochs=trainer.epochs,
        batch_size=trainer.batch_size,
        lr=trainer.lr,
        seed=trainer.seed,
        text_mode=manifest.text_mode,
        precision=settings.model.training_precision,
        layer_tokens=manifest.text_layer_tokens,
        false_alarm_rate=settings.calibration.false_alarm_rate,
        image_score=manifest.image_score,
    )
    return Recipe(
        options=options,
        correction_repeats=trainer.correction_repeats,
        synthetic_per_camera=trainer.synthetic_per_camera,
        core_scenes=trainer.core_scenes,
        core_dataset="" if trainer.core_dataset is None else str(trainer.core_dataset),
    )
