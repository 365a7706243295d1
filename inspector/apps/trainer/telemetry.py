"""What the trainer tells of itself: runs by how they ended, whether one is under way, room on its disks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inspector.apps.process_telemetry import tell_disk
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.adapters.telemetry.instruments import Instruments


def tell_run(made: Instruments, run: TrainerRun) -> None:
    """Show when the last run that ended like this one did so, and how long it took."""
    outcome = run.outcome.value
    made.gauge("inspector_trainer_last_run_timestamp_seconds").labels(outcome).set(run.ended_at.timestamp())
    took_s = (run.ended_at - run.began_at).total_seconds()
    made.gauge("inspector_trainer_last_run_duration_seconds").labels(outcome).set(took_s)


class TrainerTelemetry:
    """Counts runs; does nothing where metrics are off."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: Instruments | None = None

    def begin(self, made: Instruments | None) -> None:
        """Count from now on, if there is anything to count with."""
        self._made = made
        if made is not None:
            for outcome in TrainerOutcome:
                made.counter("inspector_trainer_runs_total").labels(outcome.value)

    def looked(self) -> None:
        """Show that it looked whether there was something to do."""
        if self._made is not None:
            self._made.set_now("inspector_trainer_last_look_timestamp_seconds")

    def running(self, runs: bool) -> None:
        """Show whether a run is under way."""
        if self._made is not None:
            self._made.gauge("inspector_trainer_running").set(runs)

    def ended(self, run: TrainerRun) -> None:
        """Count a run that ended."""
        if self._made is not None:
            self._made.counter("inspector_trainer_runs_total").labels(run.outcome.value).inc()
            tell_run(self._made, run)

    def look(self, made: Instruments) -> None:
        """See ``process_telemetry.Look``."""
        tell_disk(made, "trainer", self._settings.trainer.work)
        if not self._settings.samples.in_s3:
            tell_disk(made, "samples", Path(self._settings.samples.place))
