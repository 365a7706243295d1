"""``inspector inspect`` with an engine that does what the frames' bytes ask for; everything else is the real thing.

    python tests/integration/stub_line_worker.py -c inspector.yaml [--decode-ms 3] [--score-ms 2] [--unmarked]

A frame that holds SEGFAULT or EXIT ends the process when it is decoded. Every life writes a line into DIR/lives.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from inspector import settings as settings_of
from inspector.adapters.kafka.frame_log import KafkaFrameLog
from inspector.adapters.memory.decode_marks import MarkBook, MemoryDecodeMarks
from inspector.adapters.telemetry.logs import configure_logging
from inspector.apps import inspect, model_wiring, wiring
from inspector.domain.errors import FrameRejectedError
from inspector.domain.frame import Frame
from inspector.domain.outcome import RejectReason
from inspector.domain.product import CameraSettings, ProductSettings
from inspector.domain.result import PredLabel, ScoreMode
from inspector.pipeline.engine_ports import DecodedFrame, Verdict

SEGFAULT, EXIT, DEFECT, BROKEN = b"SEGFAULT", b"EXIT", b"DEFECT", b"BROKEN"
_SESSION_TIMEOUT_MS = 6_000  # the shortest that a broker accepts by default


class StubEngine:
    """Takes ``decode_s`` a frame to decode, ``score_s`` a frame to score."""

    weights_version = "stub-1"
    model_name = "stub"

    def __init__(self, decode_s: float, score_s: float) -> None:
        self._decode_s = decode_s
        self._score_s = score_s

    def find_camera(self, camera_id: str) -> CameraSettings | None:
        return CameraSettings()

    def decoded_bytes(self, frame: Frame) -> int:
        return len(frame.image)

    def decode(self, frame: Frame) -> DecodedFrame:
        if self._decode_s:
            time.sleep(self._decode_s)
        if SEGFAULT in frame.image:
            os.kill(os.getpid(), signal.SIGSEGV)
        if EXIT in frame.image:
            os._exit(3)
        if BROKEN in frame.image:
            raise FrameRejectedError(RejectReason.UNDECODABLE, "the test asked for it")
        return DecodedFrame(frame, DEFECT in frame.image, 320, 240)

    def inspect(self, frames: Sequence[DecodedFrame]) -> Sequence[Verdict]:
        if self._score_s:
            time.sleep(self._score_s * len(frames))
        return [_verdict(decoded.pixels) for decoded in frames]

    def is_sound(self) -> bool:
        return True

    def set_bank(self, camera_id: str, version: str, data: bytes) -> None:
        pass

    def set_calibration(self, version: str, data: bytes) -> None:
        pass

    def set_product(self, name: str, settings: ProductSettings) -> None:
        pass

    def set_camera(self, camera_id: str, settings: CameraSettings) -> None:
        pass


def _verdict(anomalous: bool) -> Verdict:
    label = PredLabel.ANOMALOUS if anomalous else PredLabel.NORMAL
    return Verdict(0.9 if anomalous else 0.1, label, 0.5, ScoreMode.ZERO_SHOT)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-c", "--config", type=Path, required=True)
    parser.add_argument("--decode-ms", type=float, default=0.0)
    parser.add_argument("--score-ms", type=float, default=0.0)
    parser.add_argument("--unmarked", action="store_true", help="decode without marks, to learn what they cost")
    parser.add_argument("--supervised", action="store_true", help="under the real supervisor")
    given = parser.parse_args()
    settings = settings_of.load(given.config)
    configure_logging(level=settings.log_level)
    if given.supervised:
        return inspect.supervise(settings, [sys.executable, *(each for each in sys.argv if each != "--supervised")])
    engine = StubEngine(given.decode_ms / 1000, given.score_ms / 1000)
    model_wiring.engine = lambda _settings: engine  # type: ignore[assignment,return-value]
    if given.unmarked:
        wiring.decode_marks = lambda _settings: MemoryDecodeMarks(MarkBook())  # type: ignore[assignment,return-value]
    inspect.KafkaFrameLog = partial(KafkaFrameLog, session_timeout_ms=_SESSION_TIMEOUT_MS)  # type: ignore[misc,assignment]
    return inspect.work(settings)


if __name__ == "__main__":
    sys.exit(main())
