"""All processes judge with weights of one version, as on a line at work: a repaired result is like the first one."""

from __future__ import annotations

from patching import replace
from stub_engine import StubEngine


def plant() -> None:
    replace(StubEngine, "weights_version", "stub")
