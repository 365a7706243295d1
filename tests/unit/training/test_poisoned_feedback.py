"""One person flips 30 % of the labels: real feedback, gathered, tuned on and judged. Nothing of it comes to serve."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from refresh_kit import false_alarm, missed, png, sample
from trainer_world import Outside, outside

from inspector.apps.trainer.attempt import NothingToDo
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.result import PredLabel
from inspector.domain.sample import SampleKind
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

ALL, SHARED = 60, 40
FLIPPED = (0, 3, 7)  # of ten


def spoken_of(world: Outside, number: int, defective: bool) -> tuple[str, PredLabel]:
    """Keep a frame that the service was wrong about: it missed the square, or saw one where none is."""
    frame_id, image = f"s{number}", png(2000 + number, square=defective)
    label = PredLabel.NORMAL if defective else PredLabel.ANOMALOUS
    kept = replace(sample(frame_id, image, SampleKind.FEEDBACK), pred_label=label)
    world.samples.put(kept, image)
    return frame_id, label


def word(frame_id: str, label: PredLabel, person: str, wrong: bool) -> Feedback:
    said = missed(frame_id, "dent", person) if label is PredLabel.NORMAL else false_alarm(frame_id, person)
    return said if wrong else replace(said, verdict=FeedbackVerdict.RIGHT, defect_type=None)


@pytest.fixture
def poisoned(tmp_path: Path) -> Outside:
    """Mallory speaks of 60 frames and flips 30 % of them; Anna and Ben of the first 40, as they are."""
    world = outside(tmp_path, epochs=2, core_scenes=0, core_judged=0, synthetic_per_camera=12, after_corrections=1000)
    world.settings = world.settings.model_copy(
        update={"gate": world.settings.gate.model_copy(update={"latency_ratio": 100.0})}
    )
    flipped = {number for number in range(ALL) if number % 10 in FLIPPED}
    for number in range(ALL):
        frame_id, label = spoken_of(world, number, defective=number % 2 == 0)
        world.book.add(word(frame_id, label, "mallory", number not in flipped))
        if number < SHARED:
            for person in ("anna", "ben"):
                world.book.add(word(frame_id, label, person, True))
    return world


def test_who_flips_labels_is_set_aside_and_the_next_run_learns_from_the_others_alone(poisoned: Outside) -> None:
    first = poisoned.attempt()
    assert isinstance(first, TrainerRun)
    assert first.outcome is TrainerOutcome.REFUSED
    assert first.set_aside == ("mallory",)
    assert any(reason.startswith("'mallory' is set aside") for reason in first.reasons), first.reasons
    assert not poisoned.published
    second = poisoned.attempt(now_at_once=False)  # that somebody was set aside is reason enough
    assert isinstance(second, TrainerRun)
    assert second.conflicts == 0
    assert not any("mallory" in reason for reason in second.reasons), second.reasons
    assert second.judged["feedback"] == SHARED + len(_anna_alone(poisoned))
    assert isinstance(poisoned.attempt(now_at_once=False), NothingToDo)


def _anna_alone(world: Outside) -> set[str]:
    """Return the frames of ``outside`` that Anna spoke of and Mallory did not."""
    return {said.frame_id for said in world.book.by_person()["anna"] if said.frame_id.startswith("c")}
