"""What a camera's producer tells of itself: frames by their end, what waits for Kafka, and traces that begin here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from inspector.apps import wiring
from inspector.apps.process_telemetry import tell_disk, telling
from inspector.domain.metrics import Part
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.adapters.kafka.publisher import FramePublisher
    from inspector.adapters.telemetry.frame_traces import CameraTraces
    from inspector.adapters.telemetry.instruments import Instruments
    from inspector.adapters.telemetry.spans import SpanSink


class CameraTelemetry:
    """Counts and traces one camera's frames; does nothing where both are off. Any thread may call."""

    def __init__(self, settings: Settings, camera_id: str) -> None:
        self._settings = settings
        self._camera_id = camera_id
        self._made: Instruments | None = None
        self._publisher: FramePublisher | None = None
        self._held_up = 0
        self._sink = wiring.span_sink(settings, Part.CAMERA)
        self._traces = None if self._sink is None else _camera_traces(settings, self._sink)

    def begin(self, made: Instruments) -> None:
        """Count from now on."""
        self._made = made
        for outcome in ("acknowledged", "refused"):
            made.counter("inspector_produced_frames_total").labels(self._camera_id, outcome)
        made.gauge("inspector_spool_max_bytes").labels(self._camera_id).set(self._settings.spool.max_bytes)

    def watch(self, publisher: FramePublisher) -> None:
        """Ask this publisher what waits, before each scrape."""
        self._publisher = publisher

    def traceparent(self, frame_id: str) -> str | None:
        """Return where a frame that is about to be published stands in a trace; None: it is not traced."""
        return None if self._traces is None else self._traces.begin(frame_id, self._camera_id)

    def acknowledged(self, frame_id: str, partition: int, offset: int) -> None:
        """Count a frame that all in-sync replicas have, and tell of it if it is traced."""
        if self._traces is not None:
            self._traces.acknowledged(frame_id, partition, offset)
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

    def close(self) -> None:
        """Send the spans that wait, as far as that takes a moment."""
        if self._sink is not None:
            self._sink.close()

    def _ended(self, outcome: str) -> None:
        if self._made is not None:
            self._made.counter("inspector_produced_frames_total").labels(self._camera_id, outcome).inc()


@contextmanager
def camera_telemetry(settings: Settings, camera_id: str) -> Iterator[CameraTelemetry]:
    """Answer scrapes and probes of a camera's producer for as long as the block lasts. Raises as ``telling``."""
    telemetry = CameraTelemetry(settings, camera_id)
    with closing(telemetry), telling(settings, Part.CAMERA, telemetry.look) as made:
        if made is not None:
            telemetry.begin(made)
        yield telemetry


def _camera_traces(settings: Settings, sink: SpanSink) -> CameraTraces:
    from inspector.adapters.telemetry.frame_traces import CameraTraces

    return CameraTraces(sink, settings.tracing.sample_ratio, settings.kafka.frames_topic)
