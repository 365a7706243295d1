"""Metrics and probes of a process without a supervisor: a camera's producer, the trainer, the HTTP API, the watch."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.domain.metrics import Part, metrics_of
from inspector.pipeline.health import Health
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.adapters.telemetry.instruments import Instruments

Look = Callable[["Instruments"], None]
"""Brings what is not counted as it happens up to date, before each scrape; one at a time."""


def is_well() -> Health:
    """Return the health of a process that is well as long as it answers."""
    return Health(True, True, True)


@contextmanager
def telling(
    settings: Settings, part: Part, look: Look = lambda _: None, health: Callable[[], Health] = is_well
) -> Iterator[Instruments | None]:
    """Answer scrapes and probes for as long as the block lasts; yield what counts, None where nothing is to be told.

    Raises:
        BadInputError: ``metrics.host`` and ``metrics.port`` cannot be taken.
    """
    metrics = settings.metrics
    if metrics.port is None:
        yield None
        return
    from inspector.adapters.telemetry.http import TelemetryServer
    from inspector.adapters.telemetry.instruments import Instruments

    made, looking = Instruments(metrics_of(part)), threading.Lock()

    def text() -> bytes:
        with looking:
            look(made)
        return made.text()

    server = TelemetryServer(metrics.host, metrics.port, text, health)
    try:
        yield made
    finally:
        server.close()


def tell_disk(made: Instruments, place: str, folder: Path) -> None:
    """Show how much room there is on the disk of a folder, or of the nearest one above it that is there."""
    with suppress(OSError):  # a disk that cannot be asked is told of by who writes to it
        there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
        usage = shutil.disk_usage(there)
        made.gauge("inspector_disk_free_bytes").labels(place).set(usage.free)
        made.gauge("inspector_disk_size_bytes").labels(place).set(usage.total)
