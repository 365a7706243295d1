"""A run of the trainer as its owner sees it: published once or not at all, whenever it is killed; and always told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from refresh_kit import NOW, missed, put
from trainer_world import CORRECTED, Outside, away, outside

import inspector.apps.trainer.judge_step as judge_step
import inspector.apps.trainer.one_run as one_run
import inspector.training.batch as batch
import inspector.training.gate_picture as gate_picture
from inspector.apps import model_wiring
from inspector.apps.trainer.attempt import NothingToDo
from inspector.apps.trainer.job import CompanionsNote, Job, TunedNote
from inspector.apps.trainer.one_run import StoppedError
from inspector.apps.trainer.world import Serving, keep_record
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.weights_file import save_weights
from inspector.domain.artefact import Announcement, ArtefactKind, Calibration, ScoreMap
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.gate import GateDecision, GateLimits
from inspector.domain.product import Vocabulary
from inspector.domain.records import to_json
from inspector.domain.release import Rollout, RolloutStage
from inspector.domain.result import ScoreMode
from inspector.domain.sample import SampleKind
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun
from inspector.pipeline.gate import decide as real_decide
from inspector.pipeline.gate_evidence import GateEvidence
from inspector.pipeline.ports import FencedError


class Killed(BaseException):
    """Stands for SIGKILL: nothing but what is on the disk outlives it."""


@pytest.fixture
def generous(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that lets everything pass: what a tiny model learns in one epoch is no matter here."""

    def accept(evidence: GateEvidence, limits: GateLimits, seed: int) -> GateDecision:
        return GateDecision(True, (), evidence.current_version, evidence.candidate_version, limits, seed)

    monkeypatch.setattr(one_run, "decide", accept)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, generous: None) -> None:
    """Steps that take no time and leave what the real ones leave, for what lies between the steps."""

    def tune(job: Job) -> TunedNote:
        weights, manifest = job.serving.made
        saved = save_weights(job.folder.candidate, weights, replace(manifest, trained=True))
        return TunedNote(saved.version, 7, 1.5, {"feedback": 1}, ())

    def judge(job: Job) -> GateEvidence:
        job.folder.write("companions", CompanionsNote(()))
        note = job.folder.read("tuned", TunedNote)
        return GateEvidence((), 1.0, True, True, job.serving.version, note.version)

    monkeypatch.setattr(one_run, "tune_candidate", tune)
    monkeypatch.setattr(one_run, "judge_candidate", judge)
    monkeypatch.setattr(gate_picture, "draw_gate", lambda *_: b"a picture")


def finished(found: TrainerRun | NothingToDo) -> TrainerRun:
    assert isinstance(found, TrainerRun), found
    return found


@pytest.mark.usefixtures("generous")
def test_corrections_become_published_weights_and_a_record(tmp_path: Path) -> None:
    world = outside(tmp_path)
    run = finished(world.attempt())
    assert run.outcome is TrainerOutcome.PUBLISHED
    (release,) = world.published.values()
    assert release.weights_version == run.candidate_version != run.parent_version
    assert (run.corrections, run.steps > 0, run.token) == (CORRECTED, True, 1)
    assert run.examples["synthetic"] == run.examples["core"] == 4
    assert run.judged["feedback"] == CORRECTED
    assert world.recorded() == [run]
    assert world.artefacts.get(str(run.picture_version)).startswith(b"\x89PNG")
    left = sorted(path.name for path in (tmp_path / "work" / run.run_id).iterdir())
    assert "images" not in left
    assert {"record.json", "decision.json", "gate.png"} <= set(left)


def test_the_gate_keeps_back_what_is_no_better_and_says_why(tmp_path: Path) -> None:
    world = outside(tmp_path, lr=1e-9)
    run = finished(world.attempt())
    assert run.outcome is TrainerOutcome.REFUSED
    assert run.reasons
    assert not world.published
    assert world.artefacts.get(str(run.gate_version))
    assert world.artefacts.get(str(run.picture_version))
    again = world.attempt()
    assert isinstance(again, NothingToDo)
    assert "nothing new" in again.reason


@pytest.mark.usefixtures("quick")
def test_nothing_is_judged_where_the_weights_that_serve_score_otherwise_than_where_they_were_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_run, "judge_candidate", judge_step.judge_candidate)
    world = outside(tmp_path)
    made = model_wiring.prompt_weights(world.settings)
    golden = model_wiring.engine_of(world.settings, *made, {}, {}, allow_unknown=True).check_golden_batch()
    off = replace(golden, logits=tuple(value + 1 for value in golden.logits))
    world.serving = Serving(made, golden=off)
    run = finished(world.attempt())
    assert run.outcome is TrainerOutcome.FAILED
    assert "golden batch" in run.reasons[0]
    assert not world.published


def raise_killed(*_: object, **__: object) -> Any:
    raise Killed


def kill_in_the_second_step(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, calls = batch.dapo_loss, iter(range(10**6))
    monkeypatch.setattr(batch, "dapo_loss", lambda *given: raise_killed() if next(calls) == 1 else loss(*given))


def after(owner: Any, name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Kill right after a step has done its work, before it is noted that it did."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        real = getattr(owner, name)

        def then_killed(*given: Any, **named: Any) -> Any:
            real(*given, **named)
            raise Killed

        monkeypatch.setattr(owner, name, then_killed)

    return patch


KILLS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "gathered": after(one_run.OneRun, "__init__"),
    "tuned": after(one_run, "tune_candidate"),
    "judged": after(one_run, "judge_candidate"),
    "decided": after(one_run, "decide"),
    "publishing": lambda patch: patch.setattr(Outside, "_publish", raise_killed),
    "published": after(Outside, "_publish"),
    "recorded": after(one_run, "record_of"),
    "listed": after(one_run, "keep_record"),
}


IN_THE_MIDST: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "tuning": kill_in_the_second_step,
    "companions": after(judge_step, "_companions"),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS.keys())
def test_killed_between_any_steps_the_next_one_completes_and_one_version_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: Callable[[pytest.MonkeyPatch], None]
) -> None:
    _killed_and_completed(outside(tmp_path), monkeypatch, kill)


@pytest.mark.long
@pytest.mark.usefixtures("generous")
@pytest.mark.parametrize("kill", [*KILLS.values(), *IN_THE_MIDST.values()], ids=[*KILLS, *IN_THE_MIDST])
def test_so_it_is_with_the_real_steps_and_in_the_midst_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: Callable[[pytest.MonkeyPatch], None]
) -> None:
    _killed_and_completed(outside(tmp_path), monkeypatch, kill)


def _killed_and_completed(
    world: Outside, monkeypatch: pytest.MonkeyPatch, kill: Callable[[pytest.MonkeyPatch], None]
) -> None:
    with monkeypatch.context() as patch:
        kill(patch)
        with pytest.raises(Killed):
            world.attempt()
    world.lock.held = None  # as it runs out
    parent = world.world().serving().version
    run = finished(world.attempt())
    assert (run.outcome, run.parent_version) == (TrainerOutcome.PUBLISHED, parent)
    assert list(world.published) == [run.candidate_version]
    assert [each.run_id for each in world.recorded()] == [run.run_id]
    assert isinstance(world.attempt(), NothingToDo)


@pytest.mark.usefixtures("quick")
def test_what_was_tuned_is_not_tuned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = outside(tmp_path)
    world.before_publishing = away
    with pytest.raises(ServiceUnavailableError):
        world.attempt()
    assert not world.recorded()
    world.before_publishing = lambda: None
    monkeypatch.setattr(one_run, "tune_candidate", raise_killed)
    monkeypatch.setattr(one_run, "judge_candidate", raise_killed)
    assert finished(world.attempt()).outcome is TrainerOutcome.PUBLISHED


@pytest.mark.usefixtures("generous")
def test_told_to_stop_it_keeps_what_it_has(tmp_path: Path) -> None:
    world = outside(tmp_path)
    world.stop = True
    with pytest.raises(StoppedError):
        world.attempt()
    world.stop = False
    assert finished(world.attempt()).outcome is TrainerOutcome.PUBLISHED


@pytest.mark.usefixtures("quick")
def test_who_lost_the_lock_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = outside(tmp_path)
    real = one_run.decide

    def stolen_meanwhile(*given: Any) -> GateDecision:
        world.lock.stolen = True
        return real(*given)

    monkeypatch.setattr(one_run, "decide", stolen_meanwhile)
    with pytest.raises(FencedError):
        world.attempt()
    assert not world.published
    assert not world.recorded()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("when", ["before it goes on", "right before it publishes"])
def test_weights_that_serve_no_more_are_no_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    world = outside(tmp_path)
    others = init_prompt_weights(model_wiring.model_spec(world.settings), Vocabulary(()), 7)
    if when == "before it goes on":
        with monkeypatch.context() as patch:
            KILLS["tuned"](patch)
            with pytest.raises(Killed):
                world.attempt()
        world.lock.held = None
        world.serving = Serving(others)
    else:
        real = one_run.decide

        def promoted_meanwhile(*given: Any) -> GateDecision:
            world.serving = Serving(others)
            return real(*given)

        monkeypatch.setattr(one_run, "decide", promoted_meanwhile)
    run = finished(world.attempt())
    assert run.outcome is TrainerOutcome.ABANDONED
    assert not world.published


@pytest.mark.usefixtures("quick")
def test_a_run_that_ends_its_process_three_times_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = outside(tmp_path)
    monkeypatch.setattr(one_run, "judge_candidate", raise_killed)
    for _ in range(4):  # the first comes to judging from the beginning, three from there
        with pytest.raises(Killed):
            world.attempt()
        world.lock.held = None
    run = finished(world.attempt())
    assert run.outcome is TrainerOutcome.FAILED
    assert "3 processes have ended" in run.reasons[0]


@pytest.mark.usefixtures("generous")
def test_cameras_with_a_bank_get_one_for_the_new_weights(tmp_path: Path) -> None:
    world = outside(tmp_path)
    serving = world.world().serving()
    engine = model_wiring.engine_of(
        world.settings, *serving.made, world.settings.domain_products(), {}, allow_unknown=True
    )
    frames = [
        engine.decode(
            Frame(
                FrameMeta(each.frame_id, "cam1", "", "plate", each.captured_at, each.content_type),
                FrameSource("t", 0, 0),
                world.samples.image(each),
            )
        )
        for each in list(world.samples.samples())[:12]
    ]
    bank = world.artefacts.put(engine.enroll([frame.pixels for frame in frames], 0.01, "plate"))
    now = datetime.now(UTC)
    world.announcements.append(Announcement(ArtefactKind.BANK, "cam1", bank, now, serving.version))
    run = finished(world.attempt())
    release = world.published[str(run.candidate_version)]
    assert [each.kind for each in release.companions] == [ArtefactKind.BANK, ArtefactKind.CALIBRATION]
    assert {each.subject for each in release.companions} == {"cam1"}
    assert bank not in {each.version for each in release.companions}


def test_nothing_is_done_without_a_reason_or_while_another_has_a_say(tmp_path: Path) -> None:
    world = outside(tmp_path, after_corrections=CORRECTED + 1)
    serving = world.world().serving()
    rollout = Rollout(
        1, serving.version, None, RolloutStage.FULL, 0.0, True, None, "ben", "a bad day", datetime.now(UTC)
    )
    world.serving = replace(serving, rollout=rollout)
    assert "pinned" in _reason(world.attempt())
    trial = replace(rollout, pinned=False, candidate_version="abc", stage=RolloutStage.SHADOW)
    world.serving = replace(serving, rollout=trial)
    assert "on trial" in _reason(world.attempt())
    world.serving = serving
    world.lock.take("another")
    assert "another is at work" in _reason(world.attempt())


@pytest.mark.usefixtures("quick")
def test_it_runs_after_so_many_new_corrections(tmp_path: Path) -> None:
    world = outside(tmp_path, after_corrections=3)
    finished(world.attempt(now_at_once=False))  # there was no run before
    world.end_trial()
    for number in range(3):
        assert f"{number} of 3 new corrections" in _reason(world.attempt(now_at_once=False))
        put(world.samples, f"d{number}", 2000 + number, SampleKind.FEEDBACK)
        world.book.add(missed(f"d{number}"))
    run = finished(world.attempt(now_at_once=False))
    assert run.corrections == CORRECTED + 3


@pytest.mark.usefixtures("quick")
def test_a_camera_that_drifts_is_a_reason_to_run_once_and_recorded(tmp_path: Path) -> None:
    world = outside(tmp_path)
    finished(world.attempt())
    world.end_trial()
    assert "new corrections" in _reason(world.attempt(now_at_once=False))
    world.drifted = ("cam1",)
    put(world.samples, "fresh", 3000)
    assert finished(world.attempt(now_at_once=False)).drifted == ("cam1",)
    world.end_trial()
    assert "new corrections" in _reason(world.attempt(now_at_once=False))


@pytest.mark.usefixtures("quick")
def test_a_look_that_finds_nothing_new_copies_nothing(tmp_path: Path) -> None:
    world = outside(tmp_path)
    world.samples.images["n3"] = b"damaged"  # what the metadata promise is not what a run has
    finished(world.attempt())
    world.end_trial()
    read: list[str] = []
    real = world.samples.image
    world.samples.image = lambda sample: (read.append(sample.frame_id), real(sample))[1]  # type: ignore[method-assign]
    for _ in range(2):
        assert "nothing new" in _reason(world.attempt())
    assert read == []
    put(world.samples, "fresh", 3000)
    finished(world.attempt())
    assert "fresh" in read


@pytest.mark.usefixtures("quick")
def test_a_run_that_was_killed_while_it_gathered_is_no_run(tmp_path: Path) -> None:
    world = outside(tmp_path)
    first = finished(world.attempt())
    half = tmp_path / "work" / ".new.begun"
    half.mkdir()
    inputs = (tmp_path / "work" / first.run_id / "inputs.json").read_bytes()
    (half / "inputs.json").write_bytes(inputs)  # killed right before it got its name
    world.end_trial()
    assert "nothing new" in _reason(world.attempt())


@pytest.mark.usefixtures("generous")
@pytest.mark.parametrize("out_of_use", [False, True])
def test_a_camera_that_would_lose_its_thresholds_keeps_the_candidate_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out_of_use: bool
) -> None:
    monkeypatch.setattr(one_run, "decide", real_decide)
    world = outside(tmp_path)
    if out_of_use:
        gate = world.settings.gate.model_copy(update={"cameras_out_of_use": ("cam2",)})
        world.settings = world.settings.model_copy(update={"gate": gate})
    serving = world.world().serving()
    made = Calibration(
        "cam2", ScoreMode.ZERO_SHOT, serving.version, ScoreMap(0.4, 0.1), ScoreMap(0.4, 0.1), 64, 0.01, NOW
    )
    version = world.artefacts.put(to_json(made))
    world.announcements.append(Announcement(ArtefactKind.CALIBRATION, "cam2", version, NOW, serving.version))
    run = finished(world.attempt())
    assert any("cam2 has a bank or thresholds of its own" in why for why in run.reasons) is not out_of_use


def test_the_gate_s_report_outlives_the_run_that_a_release_came_of(tmp_path: Path) -> None:
    world = outside(tmp_path)
    old = TrainerRun(
        "r1", TrainerOutcome.PUBLISHED, NOW, NOW, "t1", 1, "w1", inputs_version="i" * 64, gate_version="g" * 64
    )
    refused = replace(old, run_id="r2", outcome=TrainerOutcome.REFUSED)
    for run in (old, refused):
        pushed = world.artefacts.put(to_json(run))
        world.runs.add = lambda _, pushed=pushed: [pushed]  # type: ignore[method-assign, misc]
        world.artefacts.retired.clear()
        keep_record(world.world(), replace(run, run_id="new"))
        assert ("g" * 64 in world.artefacts.retired) is (run is refused)
        assert "i" * 64 in world.artefacts.retired


def _reason(found: TrainerRun | NothingToDo) -> str:
    assert isinstance(found, NothingToDo), found
    return found.reason
