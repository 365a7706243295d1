"""Real weights of a small model come to a running inspector: verified, with banks of their own, and back again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import frames
import pytest
from line import Line, running_line, wait_for
from local_services import Services

from inspector import settings as settings_of
from inspector.apps import model_wiring
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.weights_file import save_weights
from inspector.domain.product import Vocabulary
from inspector.domain.result import InspectionResult, ScoreMode

pytestmark = [pytest.mark.services, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def line(services: Services, tmp_path: Path, topic_prefix: str, tiny_model: str) -> Iterator[Line]:
    model = {"name": tiny_model, "pretrained": "random"}
    with running_line(services, tmp_path, topic_prefix, model=model) as running:
        yield running


def normals(line: Line) -> Path:
    folder = line.dir / "normal"
    folder.mkdir(exist_ok=True)
    for seed in range(12):
        (folder / f"{seed}.jpg").write_bytes(frames.jpeg(frames.part(1000 + seed)))
    return folder


def file_of_weights(line: Line, seed: int) -> Path:
    spec = model_wiring.model_spec(settings_of.load(line.config))
    weights, manifest = init_prompt_weights(spec, Vocabulary(()), seed)
    path = line.dir / f"weights-{seed}.safetensors"
    save_weights(path, weights, replace(manifest, created_at=datetime.now(UTC).isoformat()))
    return path


class Frames:
    """Publishes a frame at a time, and tells what became of it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._count = 0

    def next(self) -> InspectionResult:
        self._count += 1
        frame_id = f"f{self._count:05}"
        image = frames.jpeg(frames.part(self._count))
        self._line.publish([{"key": b"cam1", "value": image, "headers": [("frame_id", frame_id.encode())]}])
        self._line.wait_drained()
        return self._line.results()[frame_id]

    def wait_for_version(self, version: str) -> InspectionResult:
        found: list[InspectionResult] = []

        def served() -> bool:
            found.append(self.next())
            return found[-1].weights_version == version

        wait_for(served, 60, self._line.logs)
        return found[-1]


def test_weights_come_to_the_line_with_their_banks_and_go_back_to_the_old_ones_also_after_a_restart(line: Line) -> None:
    feed = Frames(line)
    line.run("enroll", "cam1", str(normals(line)))
    worker = line.start_inspector("a")
    before = feed.next()
    assert before.mode is ScoreMode.BANK

    released = json.loads(line.run("weights", "publish", str(file_of_weights(line, 5)), "--json").stdout)
    version = released["weights_version"]
    # A camera would lose its bank, which takes a person's word.
    refused = line.run("weights", "promote", "--to", "full", check=False)
    assert (refused.returncode, "cam1 (bank, calibration)" in refused.stderr) == (1, True)
    line.run("weights", "promote", "--to", "full", "--reason", "the test", "--force")
    bare = feed.wait_for_version(version)
    assert (bare.bank_version, bare.mode) != (before.bank_version, before.mode)

    # Enrolled again it has a bank of its own; the old one stays where it was.
    line.run("enroll", "cam1", str(normals(line)))
    wait_for(lambda: feed.next().mode is ScoreMode.BANK, 30, line.logs)
    own = feed.next()
    assert own.bank_version not in (None, before.bank_version)

    line.run("weights", "rollback")
    back = feed.wait_for_version(before.weights_version)
    # Enrolling made thresholds anew for both versions, of the same frames and so with the same bank for this one.
    assert back.bank_version == before.bank_version
    assert back.calibration_version not in (None, own.calibration_version)
    # What was rolled back is vetoed.
    assert line.run("weights", "pin", version[:12], check=False).returncode == 1
    line.run("weights", "pin", version[:12], "--reason", "audit", "--force")
    again = feed.wait_for_version(version)
    assert again.bank_version == own.bank_version

    line.kill(worker)
    line.start_inspector("b")
    after = feed.next()
    assert (after.weights_version, after.bank_version) == (version, own.bank_version)
    listed = json.loads(line.run("weights", "list", "--json").stdout)
    assert listed["rollout"]["pinned"]
    assert {release["weights_version"] for release in listed["releases"]} == {version, before.weights_version}


def test_weights_that_are_none_are_not_published_and_a_stranger_on_the_topic_changes_nothing(line: Line) -> None:
    feed = Frames(line)
    line.start_inspector("a")
    before = feed.next()
    damaged = file_of_weights(line, 5)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    refused = line.run("weights", "publish", str(damaged), check=False)
    assert refused.returncode == 1
    assert "expected" in refused.stderr
    assert json.loads(line.run("weights", "list", "--json").stdout)["releases"] == []
    nothing = line.run("weights", "rollback", check=False)
    assert nothing.returncode == 1
    assert "weights publish FILE" in nothing.stderr
    assert feed.next().weights_version == before.weights_version
