"""How often to knock while the brokers are away."""

from __future__ import annotations

import time

_FIRST_S = 0.5
_LONGEST_S = 5.0


class Reconnect:
    """Capped exponential back-off between two attempts to connect; times are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._not_before_s = 0.0
        self._pause_s = _FIRST_S

    def wait_s(self) -> float:
        """Return how long to wait before the next attempt."""
        return max(0.0, self._not_before_s - time.monotonic())

    def attempted(self) -> None:
        """Note an attempt: the next one waits, longer each time."""
        self._not_before_s = time.monotonic() + self._pause_s
        self._pause_s = min(_LONGEST_S, 2 * self._pause_s)

    def succeeded(self) -> None:
        """Note that work got done: a connection alone does not count, it may be of no use."""
        self._pause_s = _FIRST_S
        self._not_before_s = 0.0
