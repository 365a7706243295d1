"""A decoder that takes its process with it: frames that hold ``DEADLY`` end it by SIGSEGV while they are decoded."""

from __future__ import annotations

import os
import signal

from injected_names import DEADLY
from patching import replace
from stub_engine import StubEngine

from inspector.domain.frame import Frame
from inspector.pipeline.engine_ports import DecodedFrame


def plant() -> None:
    real = StubEngine.decode

    def decode(self: StubEngine, frame: Frame) -> DecodedFrame:
        if DEADLY in frame.image:
            os.kill(os.getpid(), signal.SIGSEGV)
        return real(self, frame)

    replace(StubEngine, "decode", decode)
