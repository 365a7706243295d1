"""The picture of the worst mistakes: which they are, and that it can be looked at."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from made_up import hostile, unit
from PIL import Image

from inspector.evaluation.report.mistakes import mistakes_picture, worst_mistakes
from inspector.evaluation.unit_result import Example, ScoredImage, UnitResult


def judged(dataset: str, good: list[float], defective: list[float]) -> UnitResult:
    """A unit of images with these scores, all of them among its worst examples."""
    made = unit(dataset=dataset)
    scores = [(score, ()) for score in good] + [(score, ("dent",)) for score in defective]
    images = [
        ScoredImage(f"{number}.png", types, bool(types), score, 0.5, "normal", "dent")
        for number, (score, types) in enumerate(scores)
    ]
    drawn = made.examples[-1]
    examples = [replace(drawn, file=one.file, types=one.types, raw_score=one.raw_score) for one in images]
    return replace(made, images=tuple(images), examples=tuple(examples))


def test_mistakes_are_ranked_by_how_many_of_the_other_kind_lie_beyond() -> None:
    # Scores of the second set are in thousands: its own order is what counts.
    clear = judged("a", [0.1, 0.2, 0.3, 0.7], [0.25, 0.8, 0.9, 1.0])
    mixed = judged("b", [1000, 4000], [2000, 3000, 5000])

    found = worst_mistakes([clear, mixed])

    assert [(m.key.dataset, m.example.raw_score, m.missed) for m in found] == [
        ("b", 4000, False), ("a", 0.25, True), ("b", 2000, True), ("b", 3000, True), ("a", 0.3, False),
        ("a", 0.7, False),
    ]  # fmt: skip
    assert [m.share for m in found] == pytest.approx([2 / 3, 2 / 4, 1 / 2, 1 / 2, 1 / 4, 1 / 4])
    assert worst_mistakes([clear, mixed], count=2) == found[:2]


def test_images_on_the_right_side_are_no_mistakes() -> None:
    assert worst_mistakes([judged("a", [0.1, 0.2], [0.8, 0.9])]) == []
    assert worst_mistakes([judged("a", [0.1, 0.2], [])]) == []


def test_an_equal_score_is_a_mistake_of_both() -> None:
    assert [m.missed for m in worst_mistakes([judged("a", [0.5], [0.5])])] == [False, True]


def test_the_picture_holds_a_row_for_every_two_mistakes() -> None:
    def size(count: int) -> tuple[int, int]:
        found = worst_mistakes([judged("a", [0.5] * 3, [0.5] * 3)], count)
        with Image.open(io.BytesIO(mistakes_picture(found))) as picture:
            return picture.size

    width, height = size(2)
    assert size(5) == (width, 3 * height)


@pytest.mark.parametrize("name", ["\x1b[2J\u202e", "ä" * 500, "\udcff"])
def test_names_from_folders_can_be_drawn(name: str) -> None:
    one = hostile(judged("a", [0.5], [0.5]), name)
    examples: list[Example] = [replace(example, types=()) for example in one.examples]
    assert mistakes_picture(worst_mistakes([one, replace(one, examples=tuple(examples))]))
