"""What the trainer takes in: what people agree on, of frames that are kept whole, and nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from refresh_kit import WANTED, MemorySamples, false_alarm, missed, png, put

from inspector.domain.defect import Box
from inspector.domain.feedback import Feedback
from inspector.domain.records import from_json, to_json
from inspector.domain.sample import SampleKind, mask_part
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.training.refresh.gathering import Wanted, corrections, gather
from inspector.training.refresh.inputs import Inputs
from inspector.training.refresh.split import held_out


def book(*said: Feedback) -> FeedbackBook:
    made = FeedbackBook()
    for feedback in said:
        made.add(feedback)
    return made


def test_what_people_said_and_normal_frames_become_inputs_with_their_images_beside(tmp_path: Path) -> None:
    store = MemorySamples()
    for number in range(4):
        put(store, f"n{number}", number)
    put(store, "f1", 10, SampleKind.FEEDBACK)
    put(store, "f2", 11, SampleKind.FEEDBACK)
    put(store, "u1", 12, SampleKind.UNCERTAIN)
    said = book(missed("f1", "SCRATCH", boxes=(Box(1, 2, 3, 4),)), false_alarm("f2"))
    inputs = gather(said, store, WANTED, tmp_path)
    by_id = {frame.frame_id: frame for frame in inputs.frames}
    assert sorted(by_id) == ["f1", "f2", "n0", "n1", "n2", "n3"]
    assert (by_id["f1"].anomalous, by_id["f1"].defect_type) == (True, "scratch")  # as the vocabulary writes it
    assert (by_id["f2"].anomalous, by_id["f2"].corrected, by_id["f2"].persons) == (False, True, ("anna",))
    assert not by_id["n0"].persons
    for frame in inputs.frames:
        assert hashlib.sha256((tmp_path / frame.image_sha256).read_bytes()).hexdigest() == frame.image_sha256
    assert from_json(Inputs, to_json(inputs)) == inputs
    assert len(corrections(said)) == 2


def test_frames_on_which_people_differ_teach_nothing_and_are_shown_to_the_gate(tmp_path: Path) -> None:
    store = MemorySamples()
    put(store, "f1", 1, SampleKind.FEEDBACK)
    put(store, "f2", 2, SampleKind.FEEDBACK)
    said = book(missed("f1", "scratch"), missed("f1", "dent", person="ben", minutes=1), missed("f2"))
    inputs = gather(said, store, WANTED, tmp_path)
    assert [frame.frame_id for frame in inputs.frames] == ["f2"]
    assert inputs.conflicts == 1
    assert [(v.person, v.frame_id, v.defect_type) for v in inputs.verdicts] == [
        ("anna", "f1", "scratch"),
        ("ben", "f1", "dent"),
    ]


def test_who_was_set_aside_is_not_learnt_from_but_where_others_say_the_same(tmp_path: Path) -> None:
    store = MemorySamples()
    put(store, "f1", 1, SampleKind.FEEDBACK)
    put(store, "f2", 2, SampleKind.FEEDBACK)
    said = book(missed("f1", person="mallory"), missed("f2", person="mallory"), missed("f2", person="anna"))
    wanted = Wanted("w1", WANTED.products, WANTED.recipe, 50, set_aside=("mallory",))
    inputs = gather(said, store, wanted, tmp_path)
    assert [(frame.frame_id, frame.persons) for frame in inputs.frames] == [("f2", ("anna",))]
    assert {(verdict.person, verdict.frame_id) for verdict in inputs.verdicts} == {("mallory", "f1"), ("mallory", "f2")}


def test_frames_that_are_not_kept_or_damaged_are_left_out_and_named(tmp_path: Path) -> None:
    store = MemorySamples()
    put(store, "f1", 1, SampleKind.FEEDBACK)
    store.images["f1"] = png(2)
    inputs = gather(book(missed("f1"), missed("gone")), store, WANTED, tmp_path)
    assert inputs.frames == ()
    assert [line.split(":")[0] for line in inputs.left_out] == ["frame f1", "frame gone"]


def test_a_type_nobody_configured_is_learnt_and_offered(tmp_path: Path) -> None:
    store = MemorySamples()
    for number, frame_id in enumerate(("f1", "f2")):
        put(store, frame_id, number, SampleKind.FEEDBACK)
    inputs = gather(book(missed("f1", "oil drop"), missed("f2", "Oil drop")), store, WANTED, tmp_path)
    assert inputs.offered_types == {"plate": ("oil drop",)}
    assert inputs.vocabularies["plate"].defect_types == ("scratch", "dent", "oil drop")
    assert {frame.defect_type for frame in inputs.frames} == {"oil drop"}
    assert "oil drop" not in inputs.vocabularies["default"].defect_types


def test_a_mask_comes_along(tmp_path: Path) -> None:
    store, mask = MemorySamples(), png(7)
    said = missed("f1", mask_version=hashlib.sha256(mask).hexdigest())
    put(store, "f1", 1, SampleKind.FEEDBACK, **{mask_part(said.feedback_id): mask})
    inputs = gather(book(said), store, WANTED, tmp_path)
    assert (tmp_path / str(inputs.frames[0].mask_sha256)).read_bytes() == mask


@pytest.mark.parametrize(
    ("spoken_of", "share", "first"), [(True, 0.25, [0, 3, 5]), (False, 0.5, [0, 1, 3, 4, 5, 8, 10])]
)
def test_the_same_frames_are_held_out_for_ever(spoken_of: bool, share: float, first: list[int]) -> None:
    hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(2000)]
    chosen = [number for number in range(2000) if held_out(hashes[number], spoken_of=spoken_of)]
    assert abs(len(chosen) / 2000 - share) < 0.04
    # Whoever changes these trains on what weights in use are judged by.
    assert chosen[: len(first)] == first


def test_what_was_learnt_from_never_judges_whatever_people_say_later() -> None:
    hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(500)]
    assert all(held_out(each, spoken_of=False) for each in hashes if held_out(each, spoken_of=True))
