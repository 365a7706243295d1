"""Regions say what is defective and where on the frame as captured, and nothing about what they were told to ignore."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inspector.domain.defect import Box
from inspector.domain.product import DefectSpec, ProductSettings
from inspector.pipeline.places import ninth
from inspector.vision import regions as finding
from inspector.vision.describe import describe
from inspector.vision.polygons import inspected_area
from inspector.vision.regions import FrameSize, Regions, find_regions

SIZE = 32
FRAME = FrameSize(1280, 1024)
TWO_TYPES = ProductSettings(defects=(DefectSpec("scratch"), DefectSpec("stain")))


def types(first: NDArray[np.float32] | float = 0.9) -> NDArray[np.float32]:
    weights = np.broadcast_to(np.asarray(first, np.float32), (SIZE, SIZE))
    return np.stack([weights, 1 - weights])


def block(x: int, y: int, w: int, h: int, score: float = 0.8) -> NDArray[np.float32]:
    scores = np.zeros((SIZE, SIZE), np.float32)
    scores[y : y + h, x : x + w] = score
    return scores


def regions(scores: NDArray[np.float32], product: ProductSettings = TWO_TYPES, **options: int) -> Regions:
    return find_regions(scores, types(), product, 0.5, FRAME, **options)


def test_one_block_is_one_defect_in_the_frames_own_pixels() -> None:
    (defect,) = regions(block(4, 8, 6, 3)).defects
    assert defect.defect_type == "scratch"
    assert defect.score == pytest.approx(0.8)
    assert defect.box == (160, 256, 240, 96)
    assert defect.area_px == 240 * 96
    assert defect.area_fraction == pytest.approx(18 / SIZE**2)
    assert defect.area_mm2 is None
    assert defect.description == "scratch, upper left, 240 x 96 px"
    xs, ys = zip(*defect.polygon, strict=True)
    np.testing.assert_allclose((min(xs), max(xs), min(ys), max(ys)), (160, 400, 256, 352), atol=FRAME.width_px / SIZE)


def test_nothing_at_or_above_the_threshold_is_no_defect() -> None:
    found = regions(block(4, 8, 6, 3, score=0.499))
    assert found.defects == ()
    assert not found.mask.any()
    assert len(regions(block(4, 8, 6, 3, score=0.5)).defects) == 1


def test_the_type_with_the_largest_mean_in_the_region_names_it() -> None:
    weights = np.full((SIZE, SIZE), 0.4, np.float32)
    weights[8, 4:6] = 1.0  # a few sure pixels do not outvote the rest
    (defect,) = find_regions(block(4, 8, 6, 3), types(weights), TWO_TYPES, 0.5, FRAME).defects
    assert defect.defect_type == "stain"


def test_the_types_probabilities_and_the_runner_up_are_the_shares_of_the_means() -> None:
    weights = np.zeros((3, SIZE, SIZE), np.float32)
    weights[:, 8:11, 4:10] = np.array([0.1, 0.3, 0.2])[:, None, None]
    weights[1, 8, 4] = 1.2  # 0.35 on average
    three = ProductSettings(defects=(*TWO_TYPES.defects, DefectSpec("dent")))
    (defect,) = find_regions(block(4, 8, 6, 3), weights, three, 0.5, FRAME).defects
    assert (defect.defect_type, defect.runner_up) == ("stain", "dent")
    assert defect.type_probability == pytest.approx(0.35 / 0.65)
    assert defect.runner_up_probability == pytest.approx(0.2 / 0.65)


def test_where_the_types_say_nothing_no_probability_is_made_up() -> None:
    silent = np.zeros((2, SIZE, SIZE), np.float32)
    (defect,) = find_regions(block(4, 8, 6, 3), silent, TWO_TYPES, 0.5, FRAME).defects
    assert (defect.type_probability, defect.runner_up, defect.runner_up_probability) == (None, None, None)
    one = ProductSettings(defects=(DefectSpec("scratch"),))
    (alone,) = find_regions(block(4, 8, 6, 3), types()[:1], one, 0.5, FRAME).defects
    assert (alone.type_probability, alone.runner_up) == (1.0, None)


def test_each_listed_region_is_labelled_by_its_place_in_the_list() -> None:
    found = regions(block(4, 8, 6, 3) + block(15, 2, 12, 4), max_regions=1)
    assert found.omitted == 1
    assert set(np.unique(found.labels)) == {0, 1}
    assert found.labels[3, 20] == 1
    assert found.mask.sum() == 48


def test_a_types_own_threshold_and_minimum_area_decide() -> None:
    def found(**spec: float) -> int:
        product = ProductSettings(defects=(DefectSpec("scratch", **spec), DefectSpec("stain")))  # type: ignore[arg-type]  # **spec mixes int and float
        return len(regions(block(4, 8, 6, 3, score=0.8), product).defects)

    assert (found(threshold=0.79), found(threshold=0.81)) == (1, 0)
    assert (found(min_area_px=240 * 96), found(min_area_px=240 * 96 + 1)) == (1, 0)


def test_area_is_given_in_square_millimetres_where_the_pixel_size_is_known() -> None:
    product = ProductSettings(defects=TWO_TYPES.defects, mm_per_px=0.1)
    (defect,) = regions(block(4, 8, 6, 3), product).defects
    assert defect.area_mm2 == pytest.approx(240 * 96 * 0.01)
    assert defect.description == "scratch, upper left, 24.0 x 9.6 mm"


def test_gravest_first_and_the_rest_counted_not_reported() -> None:
    scores = np.zeros((SIZE, SIZE), np.float32)
    for i in range(8):
        scores[4 * i, : i + 1] = 0.6
    found = regions(scores, max_regions=3)
    assert [defect.box.w for defect in found.defects] == [320, 280, 240]
    assert found.omitted == 5
    assert found.mask.sum() == 8 + 7 + 6


def test_only_reported_regions_are_outlined_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    outlined = 0
    outline = finding._outline

    def counting(*args: Any) -> Any:
        nonlocal outlined
        outlined += 1
        return outline(*args)

    monkeypatch.setattr(finding, "_outline", counting)
    scores = np.zeros((SIZE, SIZE), np.float32)
    scores[::2, ::2] = 0.6
    found = regions(scores, max_regions=5)
    assert (len(found.defects), found.omitted, outlined) == (5, SIZE**2 // 4 - 5, 5)


def test_a_small_grave_region_goes_before_large_harmless_ones() -> None:
    product = ProductSettings(defects=(DefectSpec("scratch", severity_weight=0.1), DefectSpec("crack", None, 0, 10)))
    scores = np.zeros((SIZE, SIZE), np.float32)
    scores[::4] = 0.6
    weights = np.ones((SIZE, SIZE), np.float32)
    scores[2, 2], weights[2, 2] = 0.6, 0
    (first,) = find_regions(scores, types(weights), product, 0.5, FRAME, max_regions=1).defects
    assert (first.defect_type, first.box.w) == ("crack", 40)


def test_a_single_pixel_still_has_a_box_and_an_outline_on_a_frame_smaller_than_the_map() -> None:
    (defect,) = find_regions(block(31, 31, 1, 1), types(), TWO_TYPES, 0.5, FrameSize(16, 8)).defects
    assert defect.box == (15, 7, 1, 1)
    assert defect.area_px == 1
    assert len(defect.polygon) >= 3


def test_only_the_region_of_interest_minus_ignore_zones_is_inspected() -> None:
    left_half = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    top_left = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))
    area = inspected_area((left_half,), (top_left,), SIZE)
    assert area[20:, :15].all()
    assert not area[:, 17:].any()
    assert not area[:16, :].any()


@pytest.mark.parametrize(
    ("box", "name"),
    [((0, 0, 10, 10), "upper left"), ((45, 45, 10, 10), "centre"), ((90, 45, 10, 10), "middle right")],
)
def test_places_have_names(box: tuple[int, int, int, int], name: str) -> None:
    assert ninth(Box(*box), Box(0, 0, 100, 100)) == name
    assert describe("dent", Box(*box), 100, 100, None) == f"dent, {name}, 10 x 10 px"
    assert describe("dent", Box(*box), 100, 100, 0.004) == f"dent, {name}, 0.040 x 0.040 mm"


score_maps = st.builds(
    lambda seed, density: np.where(
        np.random.default_rng(seed).random((SIZE, SIZE)) < density,
        np.random.default_rng(seed + 1).random((SIZE, SIZE)),
        0,
    ).astype(np.float32),
    st.integers(0, 2**20),
    st.floats(0, 1),
)
frames = st.builds(FrameSize, st.integers(1, 5000), st.integers(1, 5000))


@settings(max_examples=60, deadline=None)
@given(score_maps, frames)
def test_every_region_lies_inside_the_frame_and_its_figures_agree(
    scores: NDArray[np.float32], frame: FrameSize
) -> None:
    found = find_regions(scores, types(scores), TWO_TYPES, 0.5, frame, max_regions=10_000)
    assert found.omitted == 0
    np.testing.assert_array_equal(found.mask, scores >= 0.5)
    total = sum(defect.area_fraction for defect in found.defects)
    assert total == pytest.approx((scores >= 0.5).mean())
    for defect in found.defects:
        x, y, w, h = defect.box
        assert x >= 0
        assert y >= 0
        assert w >= 1
        assert h >= 1
        assert x + w <= frame.width_px
        assert y + h <= frame.height_px
        assert 0 < defect.area_px <= max(1, w * h)
        assert 0.5 <= defect.score <= 1
        assert 1 <= defect.severity <= 1000
        assert all(0 <= px < frame.width_px and 0 <= py < frame.height_px for px, py in defect.polygon)
        assert all(x - 1 <= px <= x + w + 1 and y - 1 <= py <= y + h + 1 for px, py in defect.polygon)


rectangles = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.02, 1), st.floats(0.02, 1)).map(
    lambda r: (r[0], r[1], min(1.0, r[0] + r[2]), min(1.0, r[1] + r[3]))
)


@settings(max_examples=60, deadline=None)
@given(score_maps, rectangles)
def test_nothing_is_reported_inside_an_ignore_zone(
    scores: NDArray[np.float32], zone: tuple[float, float, float, float]
) -> None:
    x0, y0, x1, y1 = zone
    ignore = (((x0, y0), (x1, y0), (x1, y1), (x0, y1)),)
    product = ProductSettings(defects=TWO_TYPES.defects, ignore=ignore)
    mask = find_regions(scores, types(), product, 0.5, FRAME, max_regions=10_000).mask
    centres = (np.arange(SIZE) + 0.5) / SIZE
    inside = ((centres > y0) & (centres < y1))[:, None] & ((centres > x0) & (centres < x1))[None, :]
    assert not (mask & inside).any()
    border = 1.5 / SIZE  # and what is clear of the zone is untouched
    near = ((centres > y0 - border) & (centres < y1 + border))[:, None]
    near = near & ((centres > x0 - border) & (centres < x1 + border))[None, :]
    np.testing.assert_array_equal(mask[~near], (scores >= 0.5)[~near])


@settings(max_examples=40, deadline=None)
@given(score_maps)
def test_a_mirrored_frame_gives_mirrored_regions(scores: NDArray[np.float32]) -> None:
    def boxes(score_map: NDArray[np.float32]) -> set[tuple[int, ...]]:
        found = find_regions(np.ascontiguousarray(score_map), types(), TWO_TYPES, 0.5, FRAME, max_regions=10_000)
        return {(*d.box, d.area_px, d.severity) for d in found.defects}

    mirrored = {(FRAME.width_px - x - w, y, w, h, *rest) for x, y, w, h, *rest in boxes(scores)}
    assert boxes(scores[:, ::-1]) == mirrored
    flipped = {(x, FRAME.height_px - y - h, w, h, *rest) for x, y, w, h, *rest in boxes(scores)}
    assert boxes(scores[::-1]) == flipped
