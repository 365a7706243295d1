"""A rendered defect and its mask agree to the pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.rendering.defects import DEFECT_TYPES, DefectShape, paint_defect
from inspector.rendering.surfaces import fractal_noise, to_bytes


def surface(seed=0, shape=(300, 360)):
    noise = fractal_noise(np.random.default_rng(seed), shape, 12)
    return to_bytes(np.repeat((120 + 6 * noise)[..., None], 3, axis=2))


@pytest.mark.parametrize("defect_type", DEFECT_TYPES)
@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_everything_that_changed_lies_in_the_mask_and_most_of_the_mask_changed(defect_type, strength):
    before = surface()
    after = before.copy()

    mask = paint_defect(np.random.default_rng(5), after, defect_type, (180, 150), DefectShape(120, strength))

    changed = np.abs(after.astype(int) - before).max(axis=2)
    assert set(np.unique(mask)) == {0, 255}
    assert not changed[mask == 0].any()
    assert (changed[mask > 0] > 0).mean() > 0.8
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
    before = surface()
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
