"""What the trainer takes in: what people agree on, of frames that are kept whole, and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from refresh_kit import NOW, WANTED, MemorySamples, false_alarm, missed, png, put

from inspector.domain.defect import Box
from inspector.domain.feedback import Feedback
from inspector.domain.records import from_json, to_json
from inspector.domain.sample import SampleKind, mask_part
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.training.refresh.companions import normals_by_camera
from inspector.training.refresh.gathering import Wanted, corrections, gather
from inspector.training.refresh.inputs import Inputs, KnownFrame
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


def at(store: MemorySamples, frame_id: str, minutes: int, **changes: object) -> None:
    """Say when a kept frame was captured, and by which weights it was judged."""
    captured = NOW + timedelta(minutes=minutes)
    store.kept[frame_id] = replace(store.kept[frame_id], captured_at=captured, **changes)  # type: ignore[arg-type]


def test_good_frames_are_in_doubt_once_their_weights_have_missed_a_defect(tmp_path: Path) -> None:
    store = MemorySamples()
    for number, (frame_id, minutes, version) in enumerate(
        [("before", 0, "w1"), ("after", 20, "w1"), ("others", 20, "w2"), ("product", 20, "w1")]
    ):
        put(store, frame_id, number)
        at(store, frame_id, minutes, weights_version=version)
    at(store, "product", 20, product="bottle")
    put(store, "f1", 10, SampleKind.FEEDBACK)
    at(store, "f1", 10)
    said = [missed("f1", minutes=60), missed("never kept", person="mallory", minutes=-60)]
    inputs = gather(book(*said), store, replace(WANTED, set_aside=("mallory",)), tmp_path)
    assert {frame.frame_id for frame in inputs.frames if frame.in_doubt} == {"after"}


def test_thresholds_are_made_of_frames_without_doubt_first() -> None:
    def frame(number: int, in_doubt: bool) -> KnownFrame:
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        return KnownFrame(f"n{number}", "cam1", "plate", NOW, "image/png", digest, in_doubt=in_doubt)

    def chosen(certain: int, doubtful: int, most: int = 300) -> tuple[int, int]:
        frames = [frame(i, i >= certain) for i in range(certain + doubtful)]
        found = normals_by_camera(frames, most)["cam1"]
        return sum(not each.in_doubt for each in found), sum(each.in_doubt for each in found)

    assert chosen(100, 100) == (100, 0)
    assert chosen(10, 100) == (10, 54)
    assert chosen(100, 0, most=40) == (40, 0)


def test_who_was_set_aside_takes_no_frame_away_from_others_by_contradicting_them(tmp_path: Path) -> None:
    store = MemorySamples()
    put(store, "f1", 1, SampleKind.FEEDBACK)
    said = book(missed("f1", "scratch"), missed("f1", "dent", person="Mallory", minutes=1))
    inputs = gather(said, store, replace(WANTED, set_aside=("mallory",)), tmp_path)
    assert [(frame.frame_id, frame.defect_type, frame.persons) for frame in inputs.frames] == [
        ("f1", "scratch", ("anna",))
    ]
    assert inputs.conflicts == 0
    assert [(verdict.person, verdict.frame_id) for verdict in inputs.verdicts] == [("Mallory", "f1")]


def test_one_person_under_two_spellings_does_not_agree_with_herself(tmp_path: Path) -> None:
    store = MemorySamples()
    put(store, "f1", 1, SampleKind.FEEDBACK)
    inputs = gather(book(missed("f1", person="Anna"), missed("f1", person="anna", minutes=1)), store, WANTED, tmp_path)
    assert [frame.persons for frame in inputs.frames] == [("Anna",)]


def test_what_was_said_of_another_frame_under_the_same_id_labels_none(tmp_path: Path) -> None:
    store = MemorySamples()
    put(store, "f1", 1, SampleKind.FEEDBACK)
    put(store, "f2", 2)  # kept as a normal frame: what was spoken of could not be kept
    store.kept["f1"] = replace(store.kept["f1"], camera_id="cam2")
    inputs = gather(book(missed("f1"), missed("f2")), store, WANTED, tmp_path)
    assert inputs.frames == ()
    assert len(inputs.left_out) == 2


def test_without_a_folder_nothing_is_read_and_the_same_is_told(tmp_path: Path) -> None:
    store = MemorySamples()
    put(store, "n1", 1)
    mask = png(7)
    said = missed("f1", mask_version=hashlib.sha256(mask).hexdigest())
    put(store, "f1", 2, SampleKind.FEEDBACK, **{mask_part(said.feedback_id): mask})
    copied = gather(book(said), store, WANTED, tmp_path)
    store.images.clear()
    store.parts.clear()
    assert gather(book(said), store, WANTED, None) == copied


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
