"""Planned unavailability for the in-memory stores."""

from __future__ import annotations

from inspector.domain.errors import ServiceUnavailableError


class Outage:
    """Counts down the calls that are to fail."""

    def __init__(self) -> None:
        self._calls = 0

    def plan(self, calls: int) -> None:
        """Let the next ``calls`` calls fail."""
        self._calls = calls

    def check(self) -> None:
        """Pass, or fail as planned.

        Raises:
            ServiceUnavailableError: this is one of the planned calls.
        """
        if self._calls > 0:
            self._calls -= 1
            raise ServiceUnavailableError("a store in memory", "a planned outage", "call again")
