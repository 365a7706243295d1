"""What a run learns from: defects where somebody drew them, and other scenes for judging than for learning."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from refresh_kit import NOW, RECIPE, png

from inspector.domain.defect import Box
from inspector.domain.product import Vocabulary
from inspector.training.examples import UNKNOWN_TYPE, UnreadableExampleError
from inspector.training.refresh.assembly import assemble
from inspector.training.refresh.core_scenes import CoreScenes
from inspector.training.refresh.inputs import Inputs, KnownFrame
from inspector.training.refresh.judged_frames import core, known, painted
from inspector.training.refresh.known_frames import KnownFrameExamples
from inspector.vision.decode import DecodeLimits
from inspector.vision.opencv import cv2

WORDS = Vocabulary(("scratch", "dent"), "plate")
SIDE = 32


def kept(folder: Path, data: bytes) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    (folder / sha256).write_bytes(data)
    return sha256


def frame(folder: Path, number: int, side_px: int = 64, **truth: object) -> KnownFrame:
    sha256 = kept(folder, png(number, side_px))
    return KnownFrame(f"f{number}", "cam1", "plate", NOW, "image/png", sha256, **truth)  # type: ignore[arg-type]


def one(folder: Path, known_frame: KnownFrame) -> KnownFrameExamples:
    return KnownFrameExamples([(known_frame, WORDS)], folder, SIDE)


def test_a_box_marks_what_lies_in_it_with_the_type(tmp_path: Path) -> None:
    boxed = frame(tmp_path, 1, anomalous=True, defect_type="dent", boxes=(Box(16, 32, 16, 8),))
    example = one(tmp_path, boxed)[0]
    marked = np.argwhere(example.type_mask)
    assert set(np.unique(example.type_mask)) == {0, 2}
    assert (marked.min(0) >= (16, 8)).all()
    assert (marked.max(0) <= (19, 15)).all()
    assert len(marked) > 16 * 8 / 4 / 2


@pytest.mark.parametrize(("defect_type", "label"), [("scratch", 1), (None, UNKNOWN_TYPE), ("rust", UNKNOWN_TYPE)])
def test_a_hairline_in_a_mask_survives_the_reduction(tmp_path: Path, defect_type: str | None, label: int) -> None:
    drawn = np.zeros((64, 64), np.uint8)
    drawn[31, 4:60] = 255
    mask = kept(tmp_path, bytes(cv2.imencode(".png", drawn)[1]))
    masked = frame(tmp_path, 2, anomalous=True, defect_type=defect_type, mask_sha256=mask)
    example = one(tmp_path, masked)[0]
    assert set(np.unique(example.type_mask)) == {0, label}
    assert (example.type_mask[15] > 0).sum() >= 27
    assert example.segmented


def test_a_mask_of_another_size_makes_its_frame_unreadable_and_not_wrong(tmp_path: Path) -> None:
    mask = kept(tmp_path, bytes(cv2.imencode(".png", np.full((32, 48), 255, np.uint8))[1]))
    with pytest.raises(UnreadableExampleError, match="48 x 32 pixels on a frame of 64 x 64"):
        one(tmp_path, frame(tmp_path, 3, anomalous=True, mask_sha256=mask))[0]


def test_a_defect_nobody_drew_teaches_the_image_alone(tmp_path: Path) -> None:
    example = one(tmp_path, frame(tmp_path, 4, anomalous=True, defect_type="dent"))[0]
    assert (example.anomalous, example.segmented) == (True, False)


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = replace(frame(tmp_path, 5), image_sha256="ab" * 32)
    with pytest.raises(UnreadableExampleError, match="f5"):
        one(tmp_path, gone)[0]


def test_scenes_that_judge_are_none_that_teach_and_both_stay_the_same() -> None:
    teaching = CoreScenes(6, WORDS, SIDE, 0, judging=False)
    judging = CoreScenes(6, WORDS, SIDE, 0, judging=True)
    again = CoreScenes(6, WORDS, SIDE, 0, judging=True)
    for index in range(6):
        assert np.array_equal(judging[index].pixels, again[index].pixels)
        assert not np.array_equal(judging[index].pixels, teaching[index].pixels)
        assert judging[index].pixels.shape == (SIDE, SIDE, 3)
    assert judging.fingerprint == again.fingerprint != teaching.fingerprint
    assert [judging[index].anomalous for index in (1, 3, 5)] == [False] * 3


def inputs_of(folder: Path, count: int) -> Inputs:
    truth = {"anomalous": True, "defect_type": "dent", "corrected": True, "persons": ("anna",)}
    frames = [frame(folder, number) for number in range(count)]
    frames += [frame(folder, 100 + number, **truth) for number in range(count)]
    return Inputs("w1", tuple(frames), {"default": WORDS, "plate": WORDS}, {}, RECIPE)


def test_nothing_that_judges_is_among_the_examples(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, 16)
    held_out = {each.image_sha256 for each in inputs.judging}
    assert 0 < len(held_out) < len(inputs.frames)
    normals = {"cam1": [each for each in inputs.teaching if not each.persons]}
    for sha256 in held_out:  # an image that training may not read need not be there
        (tmp_path / sha256).rename(tmp_path / f"hidden-{sha256}")
    assembled = assemble(inputs, normals, tmp_path, SIDE, DecodeLimits())
    corrected = sum(each.corrected for each in inputs.teaching)
    assert assembled.counts == {"feedback": 2 * corrected, "synthetic": 4, "core": 4}
    assert [assembled.source[index].pixels.shape for index in range(len(assembled.source))]
    assert assembled.source.fingerprint == assemble(inputs, normals, tmp_path, SIDE, DecodeLimits()).source.fingerprint


def test_held_out_and_corrected_frames_judge_and_it_is_known_which_were_trained_on(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, 16)
    judged = {each.frame.meta.frame_id: each for each in known(inputs, tmp_path)}
    assert judged.keys() == {each.frame_id for each in inputs.frames if each.held_out or each.persons}
    for each in inputs.frames:
        if each.frame_id in judged:
            assert judged[each.frame_id].trained_on is not each.held_out
            assert judged[each.frame_id].persons == each.persons


def test_painted_frames_and_scenes_are_anomalous_of_a_known_or_unknown_type(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, 16)
    normals = {"cam1": [each for each in inputs.judging if not each.persons]}
    drawn = list(painted(normals, inputs, tmp_path, {"cam1": SIDE}, DecodeLimits()))
    scenes = list(core(CoreScenes(6, WORDS, SIDE, 0, judging=True), WORDS))
    assert len(drawn) == len(normals["cam1"])
    assert 1 <= len(scenes) <= 3
    assert {each.defect_type for each in (*drawn, *scenes)} <= {"scratch", "dent", None}
    assert all(each.anomalous and not each.persons and not each.trained_on for each in (*drawn, *scenes))
    again = list(painted(normals, inputs, tmp_path, {"cam1": SIDE}, DecodeLimits()))
    assert [each.frame.image for each in again] == [each.frame.image for each in drawn]


def test_more_is_painted_where_a_camera_or_a_type_would_be_too_few_to_be_judged(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, 16)
    few = [each for each in inputs.judging if not each.persons][:3]
    normals = {"cam1": few[:2], "cam2": [replace(few[2], camera_id="cam2")]}
    sides = dict.fromkeys(normals, SIDE)
    drawn = list(painted(normals, inputs, tmp_path, sides, DecodeLimits(), least=6))
    types = Counter(each.defect_type for each in drawn)
    cameras = Counter(each.frame.meta.camera_id for each in drawn)
    assert min(types["scratch"], types["dent"], cameras["cam1"], cameras["cam2"]) >= 6
    assert len({each.frame.meta.frame_id for each in drawn}) == len({each.frame.image for each in drawn}) == len(drawn)
    first = list(painted(normals, inputs, tmp_path, sides, DecodeLimits()))
    assert [each.frame.image for each in drawn[: len(first)]] == [each.frame.image for each in first]
