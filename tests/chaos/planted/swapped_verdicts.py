"""Bug: the verdicts of a batch are handed to the wrong frames of it."""

from __future__ import annotations

from typing import Any

from patching import replace
from stub_engine import StubEngine


def plant() -> None:
    inspect = StubEngine.inspect

    def turned(engine: Any, frames: Any) -> Any:
        verdicts = inspect(engine, frames)
        return [*verdicts[1:], *verdicts[:1]]

    replace(StubEngine, "inspect", turned)
