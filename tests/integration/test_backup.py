"""Backup and restore on real Kafka and Redis: a line that was lost is there again, and a newer one is left alone."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import frames
import pytest
from line import Line, running_line
from local_services import Services

from inspector.adapters.artefacts import version_of
from inspector.adapters.kafka.feedback_log import publish_feedback
from inspector.adapters.kafka.weights_feed import announce_release, announce_rollout
from inspector.apps import config, model_wiring, wiring
from inspector.apps.backup import run
from inspector.apps.backup.records import LineRecords
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.weights_file import save_weights
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.product import Vocabulary
from inspector.domain.release import Rollout, RolloutStage, WeightsRelease
from inspector.domain.result import PredLabel
from inspector.settings import load

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
BANK, WEIGHTS, MASK = b"a bank", b"some weights", b"a mask"


@pytest.fixture
def lines(services: Services, tmp_path: Path) -> Iterator[Callable[..., Line]]:
    """Starts lines that share nothing but the servers."""
    # Lines whose prefixes differ by one have Redis databases of their own (see ``running_line``).
    first = uuid.uuid4().int >> 96
    with ExitStack() as until_the_end:
        count = 0

        def make(**settings: object) -> Line:
            nonlocal count
            count += 1
            folder = tmp_path / f"line-{count}"
            folder.mkdir()
            prefix = f"t-{first + count:x}-"
            return until_the_end.enter_context(running_line(services, folder, prefix, **settings))

        yield make


def _furnish(line: Line) -> LineRecords:
    """Give a line one of each record, and the artefacts that they name."""
    settings = load(line.config)
    artefacts, masks = wiring.artefacts(settings), wiring.feedback_masks(settings)
    kafka = settings.kafka
    config.publish(settings, Announcement(ArtefactKind.BANK, "cam1", artefacts.put(BANK), NOW, "w2"))
    for version in ("w1", "w2"):
        release = WeightsRelease(version, artefacts.put(WEIGHTS), "m", NOW)
        announce_release(line.connection, kafka.weights_topic, release)
    rollout = Rollout(7, "w2", None, RolloutStage.FULL, 0.1, False, "w1", "anna", "better", NOW)
    announce_rollout(line.connection, kafka.weights_topic, rollout)
    wiring.rollout_store(settings).veto("w1", "slow", "a")
    said = Feedback(
        "f1", "cam1", "w2", FeedbackVerdict.WRONG, "anna", NOW, PredLabel.NORMAL, "dent", mask_version=masks.put(MASK)
    )
    publish_feedback(line.connection, kafka.feedback_topic, said)
    return run.read_line(settings)


def test_a_lost_line_stands_again_from_its_backup_and_a_second_restore_changes_nothing(
    lines: Callable[..., Line],
) -> None:
    lost, empty = lines(), lines()
    had = _furnish(lost)
    done = json.loads(lost.run("backup", str(lost.dir), "--json").stdout)
    assert (done["announcements"], done["releases"], done["feedback"], done["vetoes"]) == (1, 2, 1, 1)

    put_back = json.loads(empty.run("restore", done["file"], "--json").stdout)

    settings = load(empty.config)
    now = run.read_line(settings)
    assert replace(now, vetoes=()) == replace(had, vetoes=())
    assert [(veto.version, veto.reason) for veto in now.vetoes] == [("w1", "slow")]
    assert wiring.artefacts(settings).get(version_of(BANK)) == BANK
    assert wiring.artefacts(settings).get(version_of(WEIGHTS)) == WEIGHTS
    assert wiring.feedback_masks(settings).get(version_of(MASK)) == MASK
    assert (put_back["releases"], put_back["rollout"], put_back["feedback"]) == (2, True, 1)
    again = run.restore(settings, Path(done["file"]), force=False, as_json=True)
    assert (again.announcements, again.releases, again.rollout, again.feedback, again.vetoes) == (0, 0, False, 0, 0)
    assert run.read_line(settings) == now


def test_a_newer_line_is_taken_back_only_by_force_and_a_damaged_backup_never(lines: Callable[..., Line]) -> None:
    line = lines()
    had = _furnish(line)
    settings, file = load(line.config), line.dir / "backup.tar"
    run.backup(settings, file, as_json=True)
    newer = Announcement(ArtefactKind.BANK, "cam1", wiring.artefacts(settings).put(b"newer"), NOW + timedelta(1), "w2")
    config.publish(settings, newer)

    refused = line.run("restore", str(file), check=False)

    assert refused.returncode == 1
    assert "bank/cam1@w2" in refused.stderr
    assert "--force" in refused.stderr
    assert run.read_line(settings).announcements == (newer,)
    run.restore(settings, file, force=True, as_json=True)
    assert run.read_line(settings).announcements == had.announcements
    damaged = bytearray(file.read_bytes())
    damaged[damaged.index(WEIGHTS)] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(BadInputError, match="whole backup"):
        run.restore(settings, file, force=True, as_json=True)


def test_what_redis_has_lost_is_told_and_the_rest_is_kept(lines: Callable[..., Line]) -> None:
    line, empty = lines(), lines()
    _furnish(line)
    settings, file = load(line.config), line.dir / "backup.tar"
    wiring.redis_client(settings).delete(f"inspection:artefact:{version_of(BANK)}")

    done = line.run("backup", str(file), check=False)

    assert done.returncode == 1
    assert "not in the backup" in done.stderr
    assert run.restore(load(empty.config), file, force=False, as_json=True).artefacts == 1


@pytest.mark.long
def test_an_inspector_of_the_restored_line_serves_the_same_versions(
    lines: Callable[..., Line], tiny_model: str
) -> None:
    model = {"name": tiny_model, "pretrained": "random"}
    lost, new = lines(model=model), lines(model=model)
    normal = lost.dir / "normal"
    normal.mkdir()
    for seed in range(12):
        (normal / f"{seed}.jpg").write_bytes(frames.jpeg(frames.part(1000 + seed)))
    weights, manifest = init_prompt_weights(model_wiring.model_spec(load(lost.config)), Vocabulary(()), seed=5)
    save_weights(lost.dir / "w.safetensors", weights, replace(manifest, created_at=NOW.isoformat()))
    lost.run("weights", "publish", str(lost.dir / "w.safetensors"))
    lost.run("weights", "promote", "--to", "full")
    lost.run("enroll", "cam1", str(normal))
    record = {"key": b"cam1", "value": frames.jpeg(frames.part(1)), "headers": [("frame_id", b"f1")]}
    served = []
    for line in (lost, new):
        if line is new:
            lost.run("backup", str(lost.dir / "backup.tar"))
            new.run("restore", str(lost.dir / "backup.tar"))
        line.start_inspector("a")
        line.publish([record])
        line.wait_drained()
        result = line.results()["f1"]
        served.append((result.weights_version, result.bank_version, result.calibration_version, result.anomaly_score))
    assert served[0] == served[1]
    assert None not in served[0]
