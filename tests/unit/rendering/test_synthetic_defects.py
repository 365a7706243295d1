"""Synthetic training material: what is painted can be seen, lies on the part, and is what the mask says it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.rendering.defects import CONDUCTOR_TYPES, DEFECT_TYPES, PAINTERS, DefectShape, paint
from inspector.rendering.foreground import find_foreground
from inspector.rendering.pasted import pasted_from, perlin_masked, through_lens
from inspector.rendering.surfaces import fractal_noise, to_bytes
from inspector.rendering.synthetic import UNKNOWN_TYPE, add_defects, kind_of, undrawable, words_of
from inspector.rendering.visibility import JUST_NOTICEABLE, colour_difference, lab_of, texture_contrast
from inspector.vision.opencv import cv2


def surface(seed=0, shape=(128, 160), roughness=6):
    noise = fractal_noise(np.random.default_rng(seed), shape, 8)
    return to_bytes(np.repeat((130 + roughness * noise)[..., None], 3, axis=2))


def changed(before, after):
    return np.abs(before.astype(int) - after).max(axis=2) > 0


@pytest.mark.parametrize("shape", [(32, 32), (40, 200), (128, 160), (16, 16)])
@pytest.mark.parametrize("words", [DEFECT_TYPES, *[(kind,) for kind in DEFECT_TYPES], ("flipped",)])
def test_every_type_can_be_drawn_on_every_shape_and_the_mask_is_what_changed(words, shape):
    before = surface(shape=shape)

    for seed in range(6):
        after, mask = add_defects(np.random.default_rng(seed), before, words)

        assert after.shape == before.shape
        assert mask.shape == shape
        assert mask.dtype == after.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, UNKNOWN_TYPE, *range(1, len(words) + 1)}
        assert mask.any()
        assert not changed(before, after)[mask == 0].any()
        visible = colour_difference(before, after) >= JUST_NOTICEABLE
        assert visible[mask > 0].mean() > (0.5 if "deformation" in words else 0.6)
        assert colour_difference(before, after)[mask > 0].mean() > JUST_NOTICEABLE


@given(st.integers(0, 2**32), st.integers(16, 140), st.integers(16, 140), st.integers(0, 255), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_something_can_always_be_seen_whatever_the_surface(seed, height, width, grey, roughness):
    noise = np.random.default_rng(seed).normal(0, 1, (height, width, 1))
    before = np.clip(grey + roughness * noise, 0, 255).astype(np.uint8).repeat(3, axis=2)

    after, mask = add_defects(np.random.default_rng(seed), before, ("crack", "flipped"))

    assert mask.any()
    assert np.array_equal(before[mask == 0], after[mask == 0])


def test_the_same_seed_paints_the_same_and_the_picture_given_is_not_touched():
    before = surface()
    kept = before.copy()

    first = add_defects(np.random.default_rng(4), before, DEFECT_TYPES)
    again = add_defects(np.random.default_rng(4), before, DEFECT_TYPES)
    other = add_defects(np.random.default_rng(5), before, DEFECT_TYPES)

    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])
    assert np.array_equal(before, kept)


def test_only_the_foreground_is_painted():
    before, part = surface(), np.zeros((128, 160), np.uint8)
    cv2.circle(part, (50, 70), 30, 255, cv2.FILLED)

    for seed in range(30):
        after, mask = add_defects(np.random.default_rng(seed), before, DEFECT_TYPES, part)

        assert mask[part > 0].any()
        assert not mask[part == 0].any()
        assert not changed(before, after)[part == 0].any()


def test_defects_come_in_all_sizes_and_strengths_and_up_to_three_at_a_time():
    before = surface(roughness=1)
    areas, contrasts, types = [], [], []
    for seed in range(160):
        after, mask = add_defects(np.random.default_rng(seed), before, DEFECT_TYPES)
        areas.append((mask > 0).mean())
        contrasts.append(colour_difference(before, after)[mask > 0].mean())
        types.append(len(set(np.unique(mask)) - {0}))

    assert min(areas) < 0.002
    assert max(areas) > 0.03
    assert min(contrasts) < 6
    assert max(contrasts) > 25
    assert set(types) == {1, 2, 3}


def test_the_lamp_may_stand_on_any_side():
    lit_from_above = []
    for seed in range(60):
        after, mask = add_defects(np.random.default_rng(seed), np.full((128, 128, 3), 128, np.uint8), ("dent",))
        rows, columns = np.nonzero(mask == 1)
        if rows.size > 100:
            upper = rows < rows.mean()
            lit_from_above.append(
                after[rows[upper], columns[upper]].mean() > after[rows[~upper], columns[~upper]].mean()
            )

    assert any(lit_from_above)
    assert not all(lit_from_above)


def test_words_are_drawn_only_as_what_they_mean():
    assert kind_of("Loose_Thread") == "loose thread"
    assert kind_of("pitting") == "pits"
    assert kind_of("crack") == "crack"
    assert kind_of("bent lead") is None
    assert undrawable(("bent lead", "cracked", "pin-hole", "flipped")) == ("bent lead", "flipped")


@pytest.mark.parametrize("kind", DEFECT_TYPES)
def test_the_words_of_a_type_mean_it_and_it_is_the_first(kind):
    words = words_of(kind)

    assert words[0] == kind
    assert len(set(words)) == len(words) > 1
    assert {kind_of(word) for word in words} == {kind}


def board(line=40, ground=220):
    image = np.full((128, 160, 3), ground, np.uint8)
    for left in range(12, 150, 24):
        image[:, left : left + 10] = line
    cv2.circle(image, (80, 64), 14, (line, line, line), cv2.FILLED)
    return image


def drawn_on(image, words, **options):
    masks = [add_defects(np.random.default_rng(seed), image, words, **options)[1] for seed in range(40)]
    labels = [int(value) for mask in masks for value in np.unique(mask) if value]
    return {("no type" if label == UNKNOWN_TYPE else words[label - 1]): labels.count(label) for label in set(labels)}


def test_conductor_defects_are_drawn_on_line_artwork_above_all_and_nowhere_else():
    on_board, on_surface = drawn_on(board(), DEFECT_TYPES), drawn_on(surface(), DEFECT_TYPES)

    etched = sum(on_board.get(kind, 0) for kind in CONDUCTOR_TYPES)
    assert etched > sum(on_board.values()) * 0.3
    assert not set(on_surface) & set(CONDUCTOR_TYPES)


def test_whether_dark_or_light_lines_are_the_conductors_can_be_told():
    def covered(light_lines):
        image = board()
        for seed in range(60):
            after, mask = add_defects(np.random.default_rng(seed), image, ("pin hole",), light_lines=light_lines)
            if (mask == 1).any() and not (mask == UNKNOWN_TYPE).any():
                return float(image[mask == 1].mean()), float(after[mask == 1].mean())
        raise AssertionError("no pin hole in 60 tries")

    before, after = covered(light_lines=False)
    assert before < 80 < 110 < after
    before, after = covered(light_lines=True)
    assert before > 180 > 150 > after


def test_words_that_cannot_be_drawn_never_appear_in_the_mask():
    masks = [add_defects(np.random.default_rng(seed), surface(), ("flipped", "scratch"))[1] for seed in range(40)]

    assert {int(value) for mask in masks for value in np.unique(mask)} == {0, 2, UNKNOWN_TYPE}


@pytest.mark.parametrize("painter", [pasted_from(surface(3, roughness=40)), perlin_masked], ids=["pasted", "perlin"])
@pytest.mark.parametrize("size_px", [3, 20, 90])
def test_defects_without_a_type_stay_within_their_extent(painter, size_px):
    before = surface()
    after = before.copy()

    mask = paint(np.random.default_rng(1), after, painter, (80, 64), DefectShape(size_px, 1.0))

    assert mask.any()
    assert not changed(before, after)[mask == 0].any()
    rows, columns = np.nonzero(mask)
    assert np.hypot(rows - 64, columns - 80).max() < size_px * 0.75 + 4


def test_a_pasted_piece_comes_out_of_the_picture_itself():
    source = np.zeros((60, 60, 3), np.uint8)
    source[:, :30] = (200, 40, 40)
    after = surface()

    mask = paint(np.random.default_rng(0), after, pasted_from(source), (80, 64), DefectShape(60, 0.9))

    grey = np.ptp(after[mask > 0].astype(int), axis=1)
    assert grey.max() > 60  # nothing on the surface has a colour


def test_a_lens_softens_what_is_painted():
    def steepest(painter):
        image = np.full((120, 120, 3), 140, np.uint8)
        paint(np.random.default_rng(2), image, painter, (60, 60), DefectShape(60, 1.0))
        return np.abs(np.diff(image.astype(int), axis=1)).max()

    assert steepest(through_lens(PAINTERS["hole"], 1.5)) < 0.7 * steepest(PAINTERS["hole"])


def test_what_drowns_in_the_texture_is_not_called_visible():
    everywhere = np.ones((128, 160), np.bool_)

    def contrast(roughness):
        return texture_contrast(lab_of(surface(roughness=roughness))[..., 0], everywhere)

    assert contrast(1) < 2 < contrast(30)


def test_bad_arguments_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="16 x 16"):
        add_defects(rng, surface(shape=(15, 40)), ("crack",))
    with pytest.raises(ValueError, match="255 types"):
        add_defects(rng, surface(), tuple(f"type {i}" for i in range(255)))
    with pytest.raises(ValueError, match="foreground"):
        add_defects(rng, surface(), ("crack",), np.zeros((128, 160), np.uint8))


def part_on_tray(tray=70, part=150):
    image = surface()
    image[:] = np.clip(image.astype(int) - 130 + tray, 0, 255)
    cv2.ellipse(image, (80, 64), (45, 35), 10, 0, 360, (part - 60, part, part + 40), cv2.FILLED)
    return image


def test_a_part_that_lies_free_is_found_and_a_shadow_beside_it_is_not_it():
    image = part_on_tray()
    image[:64, 100:] = (image[:64, 100:] * 0.6).astype(np.uint8)

    found = find_foreground(image)

    truth = np.zeros(found.shape, np.uint8)
    cv2.ellipse(truth, (80, 64), (45, 35), 10, 0, 360, 255, cv2.FILLED)
    overlap = np.count_nonzero(truth & found) / np.count_nonzero(truth | found)
    assert overlap > 0.9


def test_where_no_part_lies_free_none_is_found():
    assert find_foreground(surface()) is None
    reaching_the_edge = part_on_tray()
    reaching_the_edge[50:80] = (90, 150, 190)
    assert find_foreground(reaching_the_edge) is None
