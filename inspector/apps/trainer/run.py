"""``inspector trainer``: new weights from what people said, whenever there is enough of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from inspector.apps import console
from inspector.apps.process_telemetry import telling
from inspector.apps.stopping import STOPPED, stop_event
from inspector.apps.trainer.attempt import Attempts, NothingToDo
from inspector.apps.trainer.one_run import StoppedError
from inspector.apps.trainer.outside import real_world, trainer_lock
from inspector.apps.trainer.show import print_runs, say_run
from inspector.apps.trainer.telemetry import TrainerTelemetry
from inspector.apps.trainer.world import World, runs
from inspector.domain.errors import CredentialsError, InspectorError, ServiceUnavailableError
from inspector.domain.metrics import Part
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun
from inspector.pipeline.ports import FencedError
from inspector.pipeline.rollout_advice import Move
from inspector.settings import Settings

_log = logging.getLogger(__name__)
T = TypeVar("T")


def once(settings: Settings, *, now_at_once: bool, as_json: bool) -> int:
    """Do what there is to do, if anything, and return the exit code: 0, 1 where no candidate came of it, 130 stopped.

    Raises:
        InspectorError: as ``Attempts.attempt``, or another trainer took the lock.
    """
    with stop_event() as stop:
        attempts = _attempts(settings, real_world(settings), stop.is_set, console.remark)
        advice = attempts.world.advance()
        if advice.move is not Move.WAIT:
            console.remark(f"rollout: {advice.move}: {advice.reason}")
        try:
            attempts.world.keep_samples(attempts.world.book())
        except ServiceUnavailableError as error:  # as for a full disk: an open run can end all the same
            console.remark(f"nothing is added to the samples: {error}", "yellow")
        try:
            found = attempts.attempt(now_at_once=now_at_once)
            if isinstance(found, TrainerRun) and found.outcome is TrainerOutcome.ABANDONED:
                say_run(found, as_json=as_json)
                found = attempts.attempt(now_at_once=now_at_once)  # it was an old one; now the one that was asked for
        except StoppedError:
            console.remark("stopped; the same command goes on from there")
            return STOPPED
        except FencedError as error:
            raise ServiceUnavailableError(
                "to be the only trainer", str(error), "look whether two are running"
            ) from error
    if isinstance(found, NothingToDo):
        console.print_json({"nothing_to_do": found.reason}) if as_json else console.lines(
            [f"nothing to do: {found.reason}"]
        )
        return 0
    say_run(found, as_json=as_json)
    return 1 if found.outcome is TrainerOutcome.FAILED else 0


def keep_training(settings: Settings) -> int:
    """Run whenever there is reason to, until SIGTERM; what goes wrong is told, and tried again.

    Raises:
        CredentialsError: Kafka or Redis refuses us.
    """
    telemetry = TrainerTelemetry(settings)
    with stop_event() as stop, telling(settings, Part.TRAINER, telemetry.look) as made:
        telemetry.begin(made)
        while not stop.is_set():
            try:
                world = real_world(settings)
                break
            except ServiceUnavailableError as error:
                _log.warning("waiting: %s", error)
                stop.wait(settings.trainer.poll_s)
        else:
            return 0
        attempts = replace(_attempts(settings, world, stop.is_set, _log.info), on_running=telemetry.running)
        _Keeper(settings, attempts, stop, telemetry).until_stopped()
    return 0


def history(settings: Settings, n: int, as_json: bool) -> None:
    """Print the last ``n`` runs, the latest first. Raises as ``real_world``."""
    print_runs(runs(real_world(settings), n), as_json=as_json)


def _attempts(settings: Settings, world: World, stop: Callable[[], bool], tell: Callable[[str], None]) -> Attempts:
    return Attempts(settings, world, trainer_lock(settings), stop, tell)


class _Keeper:
    """Looks again and again. Times between are of a clock that never jumps."""

    def __init__(
        self, settings: Settings, attempts: Attempts, stop: threading.Event, telemetry: TrainerTelemetry
    ) -> None:
        self._telemetry = telemetry
        self._trainer = settings.trainer
        self._attempts = attempts
        self._stop = stop
        self._gathered_s: float | None = None
        self._said = ""

    def until_stopped(self) -> None:
        while not self._stop.is_set():
            # Each by itself: a disk that is full for samples must stop neither a rollout nor a run that is open.
            self._tried(self._advance)
            self._tried(self._gather_in_time)
            try:
                ended = self._tried(self._attempt)
            except StoppedError:
                return
            if not ended:
                self._stop.wait(self._trainer.poll_s)

    def _tried(self, work: Callable[[], T]) -> T | None:
        """Return what came of it; None, and told, where it has to be tried again."""
        try:
            return work()
        except CredentialsError:
            raise
        except (InspectorError, FencedError, OSError) as error:
            _log.warning("tried again in %.0f s: %s", self._trainer.poll_s, error)
            return None

    def _attempt(self) -> bool:
        """Do what there is to do; tell whether a run ended."""
        found = self._attempts.attempt()
        if isinstance(found, TrainerRun) or not found.busy:
            self._telemetry.looked()
        if isinstance(found, TrainerRun):
            self._telemetry.ended(found)
            _log.info("run %s was %s: %s", found.run_id, found.outcome, "; ".join(found.reasons) or "-")
            return True
        self._say_once(found.reason)
        return False

    def _advance(self) -> None:
        advice = self._attempts.world.advance()
        if advice.move is not Move.WAIT:
            _log.info("rollout: %s: %s", advice.move, advice.reason)

    def _gather_in_time(self) -> None:
        if self._gathered_s is None or time.monotonic() - self._gathered_s >= self._trainer.gather_s:
            self._attempts.world.keep_samples(self._attempts.world.book())
            self._gathered_s = time.monotonic()

    def _say_once(self, reason: str) -> None:
        if reason != self._said:
            _log.info("nothing to do: %s", reason)
            self._said = reason
