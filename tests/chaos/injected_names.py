"""Files in a run's folder by which a scenario talks to what is planted in its workers (``injected/``)."""

from __future__ import annotations

MEMORY_LIMIT, MEMORY_REFUSALS = "memory-frames", "memory-refusals"
CLOCK_OFFSET = "clock-offset"
DEADLY = b"chaos/deadly"
