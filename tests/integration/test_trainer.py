"""The trainer on real Kafka and Redis: corrections come to a candidate in shadow, however often it is killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_services import Services
from trainer_line import CORRECTED, TrainerLine, trainer_line

import inspector
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.trainer_lock import KeptLease, Lease, TrainerLock
from inspector.apps import wiring
from inspector.domain.release import RolloutStage
from inspector.settings import load

BUNDLED = Path(inspector.__file__).parent / "models" / "inspector-s" / "prompts.safetensors"
pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


@pytest.fixture
def line(services: Services, tmp_path: Path, topic_prefix: str, tiny_model: str) -> Iterator[TrainerLine]:
    with trainer_line(services, tmp_path, topic_prefix, tiny_model) as made:
        yield made


def test_corrections_become_a_candidate_in_shadow_and_then_there_is_nothing_to_do(line: TrainerLine) -> None:
    run = line.accepting()
    assert (run["outcome"], run["corrections"]) == ("published", CORRECTED), run["reasons"]
    found = line.weights()
    assert found.rollout is not None
    assert (found.rollout.stage, found.rollout.candidate_version) == (RolloutStage.SHADOW, run["candidate_version"])
    assert found.rollout.stable_version == run["parent_version"]
    release = found.releases[run["candidate_version"]]
    artefacts = wiring.artefacts(load(line.line.config))
    assert release.gate_report_version == run["gate_version"]
    assert b'"accepted":true' in artefacts.get(run["gate_version"])
    assert artefacts.get(run["picture_version"]).startswith(b"\x89PNG")
    assert "on trial" in line.once("--now")["nothing_to_do"]
    assert [each["run_id"] for each in line.history()] == [run["run_id"]]


def test_it_waits_for_another_and_ends_well(line: TrainerLine) -> None:
    client = connect(line.line.redis_url)
    lock = TrainerLock(client, life_s=60)
    lease = lock.take("another")
    assert isinstance(lease, Lease)
    with KeptLease(lock, lease) as held:  # alive, however long the command takes to come to the lock
        assert "another is at work" in line.once()["nothing_to_do"]
        held.confirm()
    assert line.weights().rollout is None
    client.close()


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"INSPECTOR_REDIS__URL": "redis://127.0.0.1:1/0"}, "Redis"),
        ({"INSPECTOR_MODEL__WEIGHTS": str(BUNDLED)}, "weights made for"),
        ({"INSPECTOR_SAMPLES__PLACE": "/proc/nowhere"}, "/proc/nowhere"),
    ],
    ids=["redis away", "weights for another model", "no room for samples"],
)
def test_what_a_person_has_to_mend_is_one_line_and_nothing_is_published(
    line: TrainerLine, changed: dict[str, str], word: str
) -> None:
    done = line.line.run("trainer", "--once", check=False, **changed)
    assert done.returncode == 1
    assert word in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert line.weights().rollout is None


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_gate_lets_pass_what_has_learnt_and_refuses_what_has_not(line: TrainerLine) -> None:
    refused = line.once("--now")
    assert refused["outcome"] == "refused"
    assert "not better" in refused["reasons"][0]
    assert line.weights().rollout is None
    published = line.once("--now", INSPECTOR_TRAINER__EPOCHS="20")
    assert published["outcome"] == "published", published["reasons"]
    assert line.weights().rollout is not None


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("step", ["gathered", "tuning", "tuned", "judged", "publishing", "published", "recorded"])
def test_killed_at_any_step_the_last_good_weights_serve_and_the_next_run_completes(
    line: TrainerLine, step: str
) -> None:
    line.killed_at(step)
    standing = line.weights()
    if step not in ("publishing", "published", "recorded"):
        assert standing.releases == {}
    assert standing.rollout is None or standing.rollout.stage is RolloutStage.SHADOW
    serving_before = None if standing.rollout is None else standing.rollout.stable_version
    _wait_for_the_lock(line)
    found = line.accepting("--now")
    history = line.history()
    assert [each["outcome"] for each in history] == ["published"], found
    now = line.weights()
    assert now.rollout is not None
    assert now.rollout.stage is RolloutStage.SHADOW
    assert now.rollout.candidate_version == history[0]["candidate_version"]
    assert serving_before in (None, now.rollout.stable_version)
    assert set(now.releases) == {now.rollout.stable_version, now.rollout.candidate_version}


def _wait_for_the_lock(line: TrainerLine) -> None:
    client = connect(line.line.redis_url)
    lock, life_s = TrainerLock(client, life_s=2), 2.0
    while not isinstance(found := lock.take("test"), Lease):
        threading.Event().wait(life_s / 10)
    lock.leave(found)
    client.close()
