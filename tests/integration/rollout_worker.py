"""``inspector inspect`` with engines that are no models: a release's artefact says in JSON how its engine behaves.

    python tests/integration/rollout_worker.py -c inspector.yaml

Everything else is the real thing: topics, Redis, loading beside the line, swaps, vetoes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stub_line_worker import DEFECT

from inspector import settings as settings_of
from inspector.adapters.kafka.frame_log import KafkaFrameLog
from inspector.adapters.telemetry.logs import configure_logging
from inspector.apps import inspect, rollout_wiring
from inspector.domain.errors import BadInputError
from inspector.domain.frame import Frame
from inspector.domain.outcome import Inspected, Outcome
from inspector.domain.product import CameraSettings, ProductSettings
from inspector.domain.release import WeightsRelease
from inspector.domain.result import PredLabel, ScoreMode
from inspector.pipeline import loop
from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.pipeline.ports import ArtefactStore
from inspector.pipeline.scoring import BatchScorer, Slot
from inspector.settings import Settings

OWN = "v0"
_SESSION_TIMEOUT_MS = 6_000  # the shortest that a broker accepts by default


class StubEngine:
    """``lies``: every frame is anomalous; ``fails``: it raises; ``score_ms`` a frame."""

    model_name = "stub"

    def __init__(self, version: str, behaviour: dict[str, Any]) -> None:
        self.weights_version = version
        self._behaviour = behaviour
        self._banks: dict[str, str] = {}

    def find_camera(self, camera_id: str) -> CameraSettings | None:
        return CameraSettings()

    def decoded_bytes(self, frame: Frame) -> int:
        return len(frame.image)

    def decode(self, frame: Frame) -> DecodedFrame:
        return DecodedFrame(frame, DEFECT in frame.image, 320, 240)

    def inspect(self, frames: Sequence[DecodedFrame]) -> Sequence[Verdict]:
        time.sleep(self._behaviour.get("score_ms", 1) / 1000 * len(frames))
        if self._behaviour.get("fails"):
            raise RuntimeError("this version fails")
        return [self._verdict(frame) for frame in frames]

    def _verdict(self, frame: DecodedFrame) -> Verdict:
        anomalous = bool(frame.pixels or self._behaviour.get("lies"))
        label = PredLabel.ANOMALOUS if anomalous else PredLabel.NORMAL
        bank = self._banks.get(frame.frame.meta.camera_id)
        return Verdict(0.9 if anomalous else 0.1, label, 0.5, ScoreMode.ZERO_SHOT, bank_version=bank)

    def is_sound(self) -> bool:
        return True

    def set_bank(self, camera_id: str, version: str, data: bytes) -> None:
        self._banks[camera_id] = version

    def set_calibration(self, version: str, data: bytes) -> None:
        pass

    def set_product(self, name: str, settings: ProductSettings) -> None:
        pass

    def set_camera(self, camera_id: str, settings: CameraSettings) -> None:
        pass


class StubLoader:
    """``rollout_ports.EngineLoader`` whose releases are JSON; each takes ``load_s`` to load."""

    def __init__(self, settings: Settings, artefacts: ArtefactStore) -> None:
        self._artefacts = artefacts

    def settings_version(self) -> str:
        return OWN

    def from_settings(self) -> StubEngine:
        return StubEngine(OWN, {})

    def load(self, release: WeightsRelease, *, beside: bool) -> tuple[StubEngine, int]:
        behaviour = json.loads(self._artefacts.get(release.artefact_version))
        time.sleep(behaviour.get("load_s", 0.3))
        if behaviour.get("bad"):
            raise BadInputError("sound weights", behaviour["bad"], "publish others")
        return StubEngine(release.weights_version, behaviour), 50 * 2**20


class WatchedScorer(BatchScorer):
    """Writes the versions of each batch's results, a line a batch, into REPLICA.batches beside the settings file."""

    file: Path

    def score(self, slots: Sequence[Slot]) -> list[Outcome]:
        outcomes = super().score(slots)
        versions = {o.result.weights_version for o in outcomes if isinstance(o, Inspected)}
        with self.file.open("a") as file:
            file.write(" ".join(sorted(versions)) + "\n")
        return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-c", "--config", type=Path, required=True)
    config = parser.parse_args().config
    settings = settings_of.load(config)
    configure_logging(level=settings.log_level)
    WatchedScorer.file = config.parent / f"{settings.replica}.batches"
    loop.BatchScorer = WatchedScorer  # type: ignore[misc]
    rollout_wiring.ReleaseLoader = StubLoader  # type: ignore[misc,assignment]
    inspect.KafkaFrameLog = partial(KafkaFrameLog, session_timeout_ms=_SESSION_TIMEOUT_MS)  # type: ignore[misc,assignment]
    return inspect.work(settings)


if __name__ == "__main__":
    sys.exit(main())
