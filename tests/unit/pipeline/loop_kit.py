"""A loop on a broker and stores in memory, with an engine that does what the frame's bytes ask for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from inspector.adapters.memory.decode_marks import MarkBook, MemoryDecodeMarks
from inspector.adapters.memory.log import MemoryBroker, MemoryConfigFeed, MemoryFrameLog
from inspector.adapters.memory.store import MemoryArtefactStore, MemoryResultStore
from inspector.domain.artefact import Announcement
from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.domain.frame import Frame
from inspector.domain.outcome import RejectReason
from inspector.domain.product import CameraSettings, ProductSettings
from inspector.domain.result import PredLabel, ScoreMode
from inspector.pipeline import alert_record
from inspector.pipeline.config_applier import ConfigApplier
from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.pipeline.loop import InspectionLoop
from inspector.pipeline.loop_parts import CommitReport, LoopEvents, LoopLimits, OutTopics
from inspector.pipeline.milestones import Milestone
from inspector.pipeline.ports import OutRecord
from inspector.pipeline.reject_record import is_reject_alert

GOOD, DEFECT, BROKEN = b"\xff\xd8\xff good", b"\xff\xd8\xff defect", b"\xff\xd8\xff broken"
CURSED, SNEAKY = b"\xff\xd8\xff breaks the engine", b"\xff\xd8\xff breaks the decoder"
SHORT = b"\xff\xd8\xff needs more memory than there is"
HANGING = b"\xff\xd8\xff is never decoded"


@dataclass
class FakeEngine:
    """Sees a defect where the bytes say so, and remembers what it was given."""

    weights_version: str = "w1"
    model_name: str = "fake"
    batches: list[list[str]] = field(default_factory=list)
    banks: dict[str, bytes] = field(default_factory=dict)
    cameras: dict[str, CameraSettings] = field(default_factory=dict)
    hold: threading.Event | None = None
    out_of_order: bool = False
    memory_frames: int = 1_000
    pixels_bytes: int = 12
    released: threading.Event = field(default_factory=threading.Event)

    def find_camera(self, camera_id: str) -> CameraSettings | None:
        return self.cameras.get(camera_id, CameraSettings())

    def decoded_bytes(self, frame: Frame) -> int:
        return self.pixels_bytes

    def decode(self, frame: Frame) -> DecodedFrame:
        if frame.image == BROKEN:
            raise FrameRejectedError(RejectReason.UNDECODABLE, "broken on purpose")
        if frame.image == HANGING:
            self.released.wait(20)
        if frame.image == SHORT:
            raise MemoryError("too little memory to decode")
        if frame.image == SNEAKY:
            raise ValueError("nobody foresaw this")
        return DecodedFrame(frame, frame.image, 4, 3)

    def inspect(self, frames: Sequence[DecodedFrame]) -> Sequence[Verdict]:
        if self.hold is not None:
            assert self.hold.wait(20)
        if len(frames) > self.memory_frames:
            raise MemoryError("too many frames for the device")
        if self.out_of_order or any(decoded.pixels == CURSED for decoded in frames):
            raise RuntimeError("the engine failed")
        self.batches.append([decoded.frame.meta.frame_id for decoded in frames])
        return [self._verdict(decoded.pixels == DEFECT) for decoded in frames]

    def _verdict(self, anomalous: bool) -> Verdict:
        label = PredLabel.ANOMALOUS if anomalous else PredLabel.NORMAL
        return Verdict(0.9 if anomalous else 0.1, label, 0.5, ScoreMode.ZERO_SHOT)

    def is_sound(self) -> bool:
        return not self.out_of_order

    def set_bank(self, camera_id: str, version: str, data: bytes) -> None:
        if data == b"bad bank":
            raise BadInputError("a bank", "bad", "enrol again")
        self.banks[camera_id] = data

    def set_calibration(self, version: str, data: bytes) -> None:
        raise AssertionError("no test announces one")

    def set_product(self, name: str, settings: ProductSettings) -> None:
        raise AssertionError("no test announces one")

    def set_camera(self, camera_id: str, settings: CameraSettings) -> None:
        self.cameras[camera_id] = settings


@dataclass
class World:
    """One broker, one store, and as many loops as a test makes."""

    broker: MemoryBroker = field(default_factory=MemoryBroker)
    store: MemoryResultStore = field(default_factory=MemoryResultStore)
    marks: MarkBook = field(default_factory=MarkBook)
    artefacts: MemoryArtefactStore = field(default_factory=MemoryArtefactStore)
    engine: FakeEngine = field(default_factory=FakeEngine)
    reports: list[CommitReport] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    milestones: list[Milestone] = field(default_factory=list)
    refused: list[Announcement] = field(default_factory=list)
    logs: list[MemoryFrameLog] = field(default_factory=list)
    lives: list[MemoryDecodeMarks] = field(default_factory=list)
    new_life: Callable[[MarkBook], MemoryDecodeMarks] = MemoryDecodeMarks

    def __post_init__(self) -> None:
        self.broker.create_topic("frames", 3)
        for topic in ("alerts", "dead", "config"):
            self.broker.create_topic(topic)

    def publish(self, images: Sequence[bytes], frame_ids: Sequence[str] | None = None) -> None:
        for number, image in enumerate(images):
            frame_id = frame_ids[number] if frame_ids else f"f{number:04}"
            key = f"cam{number % 4}".encode()
            self.broker.append(OutRecord("frames", key, image, (("frame_id", frame_id.encode()),)))

    def loop(self, replica: str = "r1", **limits: Any) -> InspectionLoop:
        log = MemoryFrameLog(self.broker, group_id="g", replica=replica, frames_topic="frames")
        self.logs.append(log)
        self.lives.append(self.new_life(self.marks))
        defaults = {"batch_max_size": 4, "batch_max_wait_s": 0.002, "retry_s": 0.01, "config_poll_s": 0.0}
        return InspectionLoop(
            log,
            self.store,
            self.lives[-1],
            self.engine,
            ConfigApplier(
                MemoryConfigFeed(self.broker, "config"),
                self.artefacts,
                self.engine,
                lambda _: None,
                lambda announcement, _: self.refused.append(announcement),
            ),
            OutTopics("alerts", "dead"),
            LoopLimits(**{**defaults, **limits}),  # type: ignore[arg-type]
            LoopEvents(self.reports.append, lambda what, _: self.troubles.append(what), self.milestones.append),
        )

    def drained(self) -> bool:
        if self.broker.down:
            return False
        done = self.broker.committed_offsets("g")
        return all(done.get(("frames", n), 0) == self.broker.end_offset(("frames", n)) for n in range(3))

    def alerts(self) -> list[str]:
        records = [r for r in self.broker.committed_records("alerts") if not is_reject_alert(r)]
        return [alert_record.decode(record.value or b"").frame_id for record in records]

    def dead(self) -> list[tuple[str, str]]:
        letters = [dict(record.headers) for record in self.broker.committed_records("dead")]
        return [(headers["frame_id"].decode(), headers["reason"].decode()) for headers in letters]

    def run(self, loop: InspectionLoop, until: Callable[[], bool] | None = None) -> None:
        deadline = time.monotonic() + 20

        def stop() -> bool:
            assert time.monotonic() < deadline, "the loop did not get there"
            return (until or self.drained)()

        loop.run(stop)
