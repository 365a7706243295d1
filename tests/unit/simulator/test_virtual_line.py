"""Virtual lines: the same seed makes the same bytes, and the truth is true."""

import json

import cv2
import numpy as np
import pytest

from inspector.domain.errors import BadInputError
from inspector.simulator.catalogue import NAMES, product_settings
from inspector.simulator.contact_sheet import contact_sheet
from inspector.simulator.line import line
from inspector.simulator.truth import TruthWriter

ALL_DEFECTIVE = {name: line(name, seed=3, defect_rate=1.0) for name in NAMES}
ALL_NORMAL = {name: line(name, seed=3, defect_rate=0.0) for name in NAMES}


def pixels(frame):
    return cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_depends_on_name_seed_and_index_alone(name):
    fresh = line(name, seed=3, defect_rate=1.0)  # has rendered nothing before, and starts in the middle

    again, before = fresh.frame(5), ALL_DEFECTIVE[name].frame(5)

    assert again.jpeg == before.jpeg
    assert np.array_equal(again.truth.mask, before.truth.mask)
    assert (again.part_id, again.lot, again.truth.defects) == (before.part_id, before.lot, before.truth.defects)


def test_frames_run_on_from_where_they_are_started():
    belt = ALL_NORMAL["belt"]
    frames = belt.frames(start=7)

    assert [next(frames).index, next(frames).index] == [7, 8]
    assert next(frames).jpeg == belt.frame(9).jpeg


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_and_another_index_look_different(name):
    first = ALL_NORMAL[name].frame(0)

    assert first.jpeg != ALL_NORMAL[name].frame(1).jpeg
    assert first.jpeg != line(name, seed=4, defect_rate=0.0).frame(0).jpeg
    assert first.part_id != ALL_NORMAL[name].frame(1).part_id


@pytest.mark.parametrize("name", NAMES)
def test_a_defective_frame_differs_from_its_normal_twin_inside_the_mask(name):
    for index in range(8):
        defective = ALL_DEFECTIVE[name].frame(index)
        difference = np.abs(pixels(defective).astype(int) - pixels(ALL_NORMAL[name].frame(index))).mean(axis=2)
        mask = defective.truth.mask > 0
        # JPEG spreads a change over its 16-pixel blocks; beyond them the twins are the same to the bit.
        near = cv2.dilate(defective.truth.mask, np.ones((35, 35), np.uint8)) > 0

        assert difference[mask].mean() > 5 * difference[~mask].mean()
        assert difference[mask].mean() > 2
        assert not difference[~near].any()


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_agrees_with_itself_and_with_the_vocabulary(name):
    words = set(product_settings(name).vocabulary.defect_types)
    seen = set()
    for index in range(40):
        truth = ALL_DEFECTIVE[name].frame(index).truth
        assert truth.defects
        assert truth.mask.shape == (1024, 1280)
        assert set(np.unique(truth.mask)) == {0, 255}
        inside = np.zeros_like(truth.mask)
        for defect in truth.defects:
            seen.add(defect.defect_type)
            x, y, w, h = defect.box
            inside[y : y + h, x : x + w] = 255
            assert 0 < defect.area_px <= w * h
        assert not truth.mask[inside == 0].any()
        assert cv2.countNonZero(truth.mask) <= sum(d.area_px for d in truth.defects)
    assert seen == words


def test_together_the_lines_make_more_than_six_types():
    assert len(NAMES) >= 3
    assert len({t for n in NAMES for t in product_settings(n).vocabulary.defect_types}) >= 8


def test_normal_frames_carry_no_truth_and_the_rate_is_kept():
    assert not any(ALL_NORMAL["plate"].frame(i).truth.mask.any() for i in range(10))

    third = line("plate", seed=1, defect_rate=0.3)
    defective = sum(bool(third.frame(i).truth.defects) for i in range(100))

    assert 16 <= defective <= 44  # 30 expected, 3 deviations each way


@pytest.mark.parametrize("name", NAMES)
def test_frames_are_jpegs_of_the_cameras_size(name):
    frame = ALL_NORMAL[name].frame(0)

    assert frame.jpeg.startswith(b"\xff\xd8\xff")
    assert pixels(frame).shape == (1024, 1280, 3)


def test_light_drifts_over_time():
    brightness = [pixels(ALL_NORMAL["plate"].frame(i)).mean() for i in (0, 225, 675)]

    assert max(brightness) - min(brightness) > 5


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(BadInputError, match="defect rate"):
        line("plate", defect_rate=rate)


def test_an_unknown_line_names_those_there_are():
    with pytest.raises(BadInputError, match="plate, belt, board"):
        line("bottle")


def test_the_truth_is_written_beside_the_frames(tmp_path):
    writer = TruthWriter(tmp_path / "truth", "cam1")
    good, bad = ALL_NORMAL["plate"].frame(0), ALL_DEFECTIVE["plate"].frame(1)
    writer.write("id-0", good)
    writer.write("id-1", bad)
    writer.close()

    first, second = map(json.loads, (tmp_path / "truth" / "truth.jsonl").read_text().splitlines())
    assert first == {
        "frame_id": "id-0", "camera_id": "cam1", "index": 0, "part_id": "PL-000000", "mask": None, "defects": [],
    }  # fmt: skip
    assert [d["defect_type"] for d in second["defects"]] == [d.defect_type for d in bad.truth.defects]
    assert [d["box"] for d in second["defects"]] == [list(d.box) for d in bad.truth.defects]
    mask = cv2.imread(str(tmp_path / "truth" / second["mask"]), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(mask, bad.truth.mask)


def test_a_truth_folder_that_cannot_be_made_is_an_error_for_people(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(BadInputError, match="choose another folder"):
        TruthWriter(tmp_path / "file" / "truth", "cam1")


def test_the_contact_sheet_shows_all_frames():
    assert contact_sheet(ALL_DEFECTIVE["board"], columns=2, rows=2, width_px=320).shape == (512, 640, 3)
