"""When ``inspector watch`` looks at what, what a look that fails takes back, and whether the looks go on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from inspector.domain.errors import CredentialsError, InspectorError
from inspector.pipeline.health import Health
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.adapters.telemetry.instruments import Instruments

_log = structlog.get_logger()


class _Look(Protocol):
    def __call__(self, settings: Settings, made: Instruments) -> None: ...


@dataclass(slots=True)
class Round:
    """One look, when it is due, and whether it was ever well.

    ``shows``: gauges of this moment. After a look that failed they are absent: what they last said would pass for what
    is, and would go before what others know.
    """

    every_s: float
    look: _Look
    shows: tuple[str, ...] = ()
    due_s: float = 0.0
    was_well: bool = False

    def __call__(self, settings: Settings, made: Instruments) -> None:
        """Look if it is due; told and counted where that fails.

        Raises:
            CredentialsError: Kafka or Redis refuses us: no new try would change that.
        """
        if time.monotonic() < self.due_s:
            return
        try:
            self.look(settings, made)
        except CredentialsError:
            raise
        except (InspectorError, OSError) as error:
            for name in self.shows:
                made.gauge(name).clear()
            made.counter("inspector_watch_failures_total").inc()
            _log.warning("not looked at", what=getattr(self.look, "__name__", ""), problem=str(error))
        else:
            self.was_well = True
        self.due_s = time.monotonic() + self.every_s


class Heartbeat:
    """The quick looks go on: a call to a server that never comes back would end them."""

    def __init__(self, stuck_after_s: float) -> None:
        self._stuck_after_s = stuck_after_s
        self._has_looked = False
        self._beat_s = time.monotonic()

    def beat(self, has_looked: bool) -> None:
        """Say that the looks have come round; ``has_looked``: each was well once by now."""
        self._has_looked, self._beat_s = has_looked, time.monotonic()

    def health(self) -> Health:
        """Return how it is now: started and ready since each look was well once, alive while they go on."""
        silent_s = time.monotonic() - self._beat_s
        alive = silent_s <= self._stuck_after_s
        why = "" if alive else f"it has not looked for {silent_s:.0f} s"
        return Health(self._has_looked, self._has_looked and alive, alive, why or "it has not looked at all of it yet")
