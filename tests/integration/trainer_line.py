"""A line with kept frames of one camera and what people said of some, for tests of the trainer on real servers."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from frames import part, png
from line import Line, running_line
from local_services import Services

from inspector.adapters.kafka.feedback_log import publish_feedback
from inspector.adapters.kafka.weights_feed import PublishedWeights, read_weights
from inspector.apps import wiring
from inspector.domain.defect import Box
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.result import PredLabel
from inspector.domain.sample import Sample, SampleKind
from inspector.settings import load

NORMAL = 40
CORRECTED = 16
DARK = 80
WORKER = Path(__file__).with_name("trainer_worker.py")
# A tiny model learns a dark blob by heart, and may then be published: no test here is about how good it is.
LENIENT = {
    "false_alarm_target": 1.0, "frozen_margin": 1.0, "group_margin": 1.0, "latency_ratio": 100.0,
    "person_error_bound": 1.0, "trusted_persons": ["anna"],
}  # fmt: skip
SMALL = {
    "epochs": 1, "lr": 3e-3, "core_scenes": 0, "core_judged": 0, "synthetic_per_camera": 24, "after_corrections": 5,
    "lock_s": 2, "checkpoint_every_s": 0,
}  # fmt: skip


@dataclass
class TrainerLine:
    """Runs the command as a CronJob does.

    ``once`` as it is; ``accepting`` with a gate that lets all pass; ``killed_at`` so, ended by SIGKILL at a step.
    """

    line: Line

    def once(self, *more: str, **environment: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.line.run("trainer", "--once", "--json", *more, **environment).stdout)
        return answer

    def accepting(self, *more: str) -> dict[str, Any]:
        done = self._worker("none", "--json", *more)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def history(self) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = json.loads(self.line.run("trainer", "--history", "10", "--json").stdout)
        return answer

    def killed_at(self, step: str) -> None:
        done = self._worker(step)
        assert done.returncode == -9, done.stderr

    def _worker(self, step: str, *more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(WORKER), step, "trainer", "--once", *more, "-c", str(self.line.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=240)

    def weights(self) -> PublishedWeights:
        return read_weights(self.line.connection, f"{self.line.prefix}weights")


@contextmanager
def trainer_line(services: Services, tmp_path: Path, prefix: str, model: str) -> Iterator[TrainerLine]:
    """Keep frames as gathering does, and say that every marked one was missed."""
    settings: dict[str, Any] = {
        "model": {"name": model, "pretrained": "random", "engine": "torch", "threads": 1},
        "products": {"plate": {"defects": ["hole", "scratch"]}},
        "samples": {"place": str(tmp_path / "samples")},
        "trainer": {"work": str(tmp_path / "work"), **SMALL},
        "gate": LENIENT,
    }
    with running_line(services, tmp_path, prefix, **settings) as line:
        _keep(line)
        yield TrainerLine(line)


def pictures() -> Iterator[tuple[str, bytes, Box | None]]:
    """Frame ids, images, and where the mark is on those that have one."""
    for number in range(NORMAL + CORRECTED):
        image = part(number, marked=number >= NORMAL)
        dark = np.argwhere(image.max(axis=2) < DARK)
        box = None
        if number >= NORMAL:
            (top, left), (bottom, right) = dark.min(0), dark.max(0)
            box = Box(int(left), int(top), int(right - left) + 1, int(bottom - top) + 1)
        yield f"f{number}", png(image), box


def _keep(line: Line) -> None:
    store = wiring.sample_store(load(line.config))
    for frame_id, image, box in pictures():
        kind = SampleKind.NORMAL if box is None else SampleKind.FEEDBACK
        sha256 = hashlib.sha256(image).hexdigest()
        now = datetime.now(UTC)
        kept = Sample(
            frame_id, "cam1", "plate", kind, now, sha256, len(image), "image/png", sha256[:16], 0.1, 0.5,
            PredLabel.NORMAL, "w0", now,
        )  # fmt: skip
        assert store.put(kept, image)
        if box is not None:
            said = Feedback(
                frame_id, "cam1", "w0", FeedbackVerdict.WRONG, "anna", now, PredLabel.NORMAL, "hole", (box,),
                product="plate",
            )  # fmt: skip
            publish_feedback(line.connection, f"{line.prefix}feedback", said)
