"""The device runs out of memory: a batch of more frames than RUN/memory-frames says is refused; no file, no limit.

``MemoryError`` is what the real engine makes of ``torch.OutOfMemoryError``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from injected_names import MEMORY_LIMIT, MEMORY_REFUSALS
from patching import replace
from stub_engine import StubEngine

from inspector.pipeline.engine_ports import DecodedFrame, Verdict

_RUN = Path(os.environ["CHAOS_DIR"])


def plant() -> None:
    real = StubEngine.inspect

    def inspect(self: StubEngine, frames: Sequence[DecodedFrame]) -> Sequence[Verdict]:
        try:
            limit = int((_RUN / MEMORY_LIMIT).read_text())
        except FileNotFoundError:
            return real(self, frames)
        if len(frames) > limit:
            with (_RUN / MEMORY_REFUSALS).open("ab") as file:
                file.write(b".")
            raise MemoryError(f"injected: {len(frames)} frames, {limit} fit")
        return real(self, frames)

    replace(StubEngine, "inspect", inspect)
