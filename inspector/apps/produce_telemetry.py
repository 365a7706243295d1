"""What a camera's producer tells of itself: frames by their end, and what waits for Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from inspector.apps import wiring
from inspector.apps.process_telemetry import tell_disk, telling
from inspector.domain.metrics import Part
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.adapters.kafka.publisher import FramePublisher
    from inspector.adapters.telemetry.instruments import Instruments


class CameraTelemetry:
    """Counts one camera's frames; does nothing where metrics are off. Any thread may call."""

    def __init__(self, settings: Settings, camera_id: str) -> None:
        self._settings = settings
        self._camera_id = camera_id
        self._made: Instruments | None = None
        self._publisher: FramePublisher | None = None
        self._held_up = 0

    def begin(self, made: Instruments) -> None:
        """Count from now on."""
        self._made = made
        for outcome in ("acknowledged", "refused"):
            made.counter("inspector_produced_frames_total").labels(self._camera_id, outcome)
        made.gauge("inspector_spool_max_bytes").labels(self._camera_id).set(self._settings.spool.max_bytes)

    def watch(self, publisher: FramePublisher) -> None:
        """Ask this publisher what waits, before each scrape."""
        self._publisher = publisher

    def acknowledged(self, _frame_id: str, _partition: int, _offset: int) -> None:
        """Count a frame that all in-sync replicas have."""
        if self._made is not None:
            self._ended("acknowledged")
            self._made.set_now("inspector_last_acknowledged_timestamp_seconds", self._camera_id)

    def refused(self) -> None:
        """Count a frame that will never be taken."""
        self._ended("refused")

    def look(self, made: Instruments) -> None:
        """See ``process_telemetry.Look``."""
        tell_disk(made, "spool", wiring.spool_dir(self._settings, self._camera_id))
        if self._publisher is None:
            return
        counts = self._publisher.counts
        for name, value in (
            ("inspector_window_frames", counts.waiting),
            ("inspector_spool_frames", counts.spooled),
            ("inspector_spool_bytes", counts.spooled_bytes),
        ):
            made.gauge(name).labels(self._camera_id).set(value)
        held_up = made.counter("inspector_produced_held_up_frames_total").labels(self._camera_id)
        held_up.inc(counts.held_up - self._held_up)
        self._held_up = counts.held_up

    def _ended(self, outcome: str) -> None:
        if self._made is not None:
            self._made.counter("inspector_produced_frames_total").labels(self._camera_id, outcome).inc()


@contextmanager
def camera_telemetry(settings: Settings, camera_id: str) -> Iterator[CameraTelemetry]:
    """Answer scrapes and probes of a camera's producer for as long as the block lasts. Raises as ``telling``."""
    telemetry = CameraTelemetry(settings, camera_id)
    with telling(settings, Part.CAMERA, telemetry.look) as made:
        if made is not None:
            telemetry.begin(made)
        yield telemetry
