"""A rendered defect and its mask agree to the pixel."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.rendering.defects import CONDUCTOR_TYPES, DEFECT_TYPES, DefectShape, paint_defect
from inspector.rendering.surfaces import fractal_noise, to_bytes
from inspector.vision.opencv import cv2


def surface(seed=0, shape=(300, 360)):
    noise = fractal_noise(np.random.default_rng(seed), shape, 12)
    return to_bytes(np.repeat((120 + 6 * noise)[..., None], 3, axis=2))


def traces(line=(60, 60, 60), ground=(200, 200, 200)):
    """Three upright conductors, 24 px wide and 24 px apart, about the middle of a board."""
    image = np.full((300, 360, 3), ground, np.uint8)
    for left in (120, 168, 216):
        image[:, left : left + 24] = line
    return image


def print_of_dots():
    image = np.full((300, 360, 3), 190, np.uint8)
    for x, y in itertools.product(range(20, 360, 40), range(30, 300, 40)):
        cv2.circle(image, (x, y), 14, (40, 60, 90), cv2.FILLED)
    return image


def where_it_occurs(defect_type):
    if defect_type in CONDUCTOR_TYPES:
        return traces()
    return print_of_dots() if defect_type in ("missing", "deformation", "faulty imprint") else surface()


@pytest.mark.parametrize("defect_type", DEFECT_TYPES)
@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_everything_that_changed_lies_in_the_mask_and_most_of_the_mask_changed(defect_type, strength):
    before = where_it_occurs(defect_type)
    after = before.copy()

    mask = paint_defect(np.random.default_rng(5), after, defect_type, (180, 150), DefectShape(120, strength))

    changed = np.abs(after.astype(int) - before).max(axis=2)
    assert set(np.unique(mask)) == {0, 255}
    assert not changed[mask == 0].any()
    # Where dots are bent aside, the ground between them stays as it looks.
    assert (changed[mask > 0] > 0).mean() > (0.2 if defect_type == "deformation" else 0.8)
    assert changed[mask > 0].mean() > 4


@given(
    st.sampled_from(DEFECT_TYPES),
    st.integers(0, 359),
    st.integers(0, 299),
    st.integers(20, 300),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_a_defect_may_lie_anywhere_at_any_size(defect_type, x, y, size_px, strength, seed):
    before = where_it_occurs(defect_type)
    after = before.copy()

    mask = paint_defect(np.random.default_rng(seed), after, defect_type, (x, y), DefectShape(size_px, strength))

    assert mask.shape == before.shape[:2]
    assert np.array_equal(after[mask == 0], before[mask == 0])


def test_a_defect_is_cut_off_where_it_is_not_allowed():
    before, allowed = surface(), np.zeros((300, 360), np.uint8)
    allowed[:, :180] = 255
    after = before.copy()

    mask = paint_defect(np.random.default_rng(1), after, "stain", (180, 150), DefectShape(140, 1.0), allowed)

    assert mask[:, :180].any()
    assert not mask[:, 180:].any()
    assert np.array_equal(after[:, 180:], before[:, 180:])


def test_the_same_seed_draws_the_same_defect_and_another_seed_another():
    def drawn(seed):
        image = surface()
        paint_defect(np.random.default_rng(seed), image, "crack", (180, 150), DefectShape(150, 0.8))
        return image

    assert np.array_equal(drawn(1), drawn(1))
    assert not np.array_equal(drawn(1), drawn(2))


def test_a_stronger_defect_changes_more():
    def change(strength):
        image = surface()
        paint_defect(np.random.default_rng(3), image, "stain", (180, 150), DefectShape(150, strength))
        return np.abs(image.astype(int) - surface()).sum()

    assert change(0.1) < change(0.5) < change(1.0)


def test_a_dent_is_dark_towards_the_lamp_and_light_away_from_it():
    image = np.full((200, 200, 3), 128, np.uint8)

    paint_defect(np.random.default_rng(0), image, "dent", (100, 100), DefectShape(120, 0.6))

    assert image[60:80, 70:90].mean() < 122  # the lamp stands up and to the left
    assert image[120:140, 110:130].mean() > 134


def test_labels_given_to_types_before_stay():
    """Type masks and saved vocabularies count on the order."""
    assert DEFECT_TYPES[:9] == (
        "scratch",
        "crack",
        "dent",
        "hole",
        "pits",
        "stain",
        "contamination",
        "tear",
        "loose thread",
    )


@pytest.mark.parametrize("dark_lines", [True, False])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", CONDUCTOR_TYPES)
def test_a_conductor_defect_changes_how_the_conductors_hang_together_as_its_name_says(kind, dark_lines, seed):
    before = traces() if dark_lines else traces((200, 180, 90), (40, 60, 30))
    after = before.copy()

    mask = paint_defect(np.random.default_rng(seed), after, kind, (180, 150), DefectShape(70, 1.0))

    def counted(image):
        light = image.mean(axis=2) > 125
        lines = ~light if dark_lines else light
        return (
            cv2.connectedComponents(lines.astype(np.uint8))[0] - 1,
            cv2.connectedComponents((~lines).astype(np.uint8))[0] - 1,
            int(lines.sum()),
        )

    lines_before, grounds_before, area_before = counted(before)
    lines, grounds, area = counted(after)
    assert mask.any()
    more_lines, more_grounds = lines - lines_before, grounds - grounds_before
    if kind == "open":
        assert (more_lines, area < area_before) == (1, True)
    elif kind == "short":
        assert (more_lines, area > area_before) == (-1, True)
    elif kind == "spurious copper":
        assert (more_lines, more_grounds, area > area_before) == (1, 0, True)
    elif kind == "pin hole":
        assert (more_lines, more_grounds, area < area_before) == (0, 1, True)
    elif kind == "mouse bite":
        assert (more_grounds, area < area_before) == (0, True)
    else:
        assert (more_lines, area > area_before) == (0, True)


@pytest.mark.parametrize("kind", CONDUCTOR_TYPES)
def test_where_there_are_no_conductors_nothing_is_painted(kind):
    after = surface()

    assert not paint_defect(np.random.default_rng(1), after, kind, (180, 150), DefectShape(120, 1.0)).any()
    assert np.array_equal(after, surface())


def test_a_missing_piece_of_a_print_is_gone_whole():
    after = print_of_dots()

    mask = paint_defect(np.random.default_rng(0), after, "missing", (180, 150), DefectShape(40, 1.0))

    dark = after.mean(axis=2) < 125
    was = print_of_dots().mean(axis=2) < 125
    assert cv2.connectedComponents(dark.astype(np.uint8))[0] == cv2.connectedComponents(was.astype(np.uint8))[0] - 1
    assert np.abs(after[mask > 0].astype(int) - 190).max() < 45  # and its rim with it


def test_a_chip_lies_on_the_edge_of_the_part_and_shows_what_is_behind():
    before = np.full((300, 360, 3), 30, np.uint8)
    before[:, :180] = 170
    part_lost = []
    for seed in range(8):
        after = before.copy()
        mask = paint_defect(np.random.default_rng(seed), after, "chip", (176, 150), DefectShape(60, 1.0))
        columns = np.nonzero(mask)[1]
        assert columns.min() <= 180 <= columns.max() + 2
        part_lost.append((after[:, :180] < 60).all(axis=2).any())

    assert any(part_lost)


def test_a_bubble_is_lit_towards_the_lamp_and_a_dent_away_from_it():
    def upper_left_is_lighter(kind):
        image = np.full((200, 200, 3), 128, np.uint8)
        paint_defect(np.random.default_rng(3), image, kind, (100, 100), DefectShape(120, 0.6))
        return image[60:90, 70:95].mean() > image[110:140, 105:130].mean()

    assert upper_left_is_lighter("bubble")
    assert not upper_left_is_lighter("dent")
