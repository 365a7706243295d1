"""Which type a region shows is asked of a closer look, and that answer is what is reported."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from engine_kit import PLATE, SPEC, frame, weights
from numpy.typing import NDArray
from torch import Tensor

from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.region_typer import RegionTyper
from inspector.dapo.spec import REGION_TYPES_MODEL, ModelSpec
from inspector.dapo.text import encode_vocabularies
from inspector.domain.errors import InspectorError
from inspector.domain.product import CameraSettings, DefectSpec, ProductSettings, Vocabulary
from inspector.vision.engine import InspectionEngine
from inspector.vision.region_types import NameRegions, RegionTypes
from inspector.vision.regions import FrameSize, find_regions

TYPER = ModelSpec(REGION_TYPES_MODEL)
FRAME = FrameSize(320, 320)
BLACK = np.zeros((96, 96, 3), np.uint8)


def region_types() -> RegionTypes:
    prompts, manifest = init_prompt_weights(TYPER, PLATE.vocabulary, 0)

    def encode(vocabularies: Collection[Vocabulary]) -> Mapping[Vocabulary, Tensor]:
        return encode_vocabularies(TYPER, prompts, vocabularies, manifest.text_mode)

    return RegionTypes(RegionTyper.load(TYPER, prompts), encode)


def spot(x: int, y: int, side: int = 96) -> NDArray[np.uint8]:
    inside = np.zeros((side, side), np.uint8)
    inside[y : y + 8, x : x + 8] = 1
    return inside


def test_each_region_has_a_probability_of_each_type_whatever_else_is_asked_with_it() -> None:
    named = region_types()
    named.learn_words([PLATE.vocabulary])
    pixels = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    both = named.name("cam1", pixels, pixels, PLATE.vocabulary, [spot(10, 10), spot(70, 60)])
    assert both.shape == (2, 2)
    np.testing.assert_allclose(both.sum(axis=0), 1, rtol=1e-5)
    alone = named.name("cam1", pixels, pixels, PLATE.vocabulary, [spot(70, 60)])
    np.testing.assert_allclose(alone[:, 0], both[:, 1], atol=1e-5)
    assert not np.allclose(both[:, 0], both[:, 1])


def test_a_region_at_another_size_than_the_frames_is_looked_at_where_it_lies() -> None:
    named = region_types()
    named.learn_words([PLATE.vocabulary])
    pixels = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    large = np.kron(spot(70, 60), np.ones((4, 4), np.uint8))
    np.testing.assert_array_equal(
        named.name("cam1", pixels, pixels, PLATE.vocabulary, [large]),
        named.name("cam1", pixels, pixels, PLATE.vocabulary, [spot(70, 60)]),
    )
    dot = np.zeros((960, 960), np.uint8)
    dot[601, 703] = 1  # less than a pixel of the frame as it was decoded
    assert np.isfinite(named.name("cam1", pixels, pixels, PLATE.vocabulary, [dot])).all()


@pytest.mark.parametrize("change", [{"object_word": "cable gland"}, {"defect_types": ("Scratch", "_dent-")}])
def test_the_name_of_a_product_and_how_a_type_is_spelt_change_nothing(change: dict[str, Any]) -> None:
    named = region_types()
    other = replace(PLATE.vocabulary, **change)
    named.learn_words([PLATE.vocabulary, other])
    pixels = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    of_one, of_other = (
        named.name("cam1", pixels, pixels, words, [spot(10, 10)]) for words in (PLATE.vocabulary, other)
    )
    np.testing.assert_array_equal(of_one, of_other)


def test_a_region_without_a_whole_patch_is_asked_as_a_picture() -> None:
    prompts, _ = init_prompt_weights(TYPER, PLATE.vocabulary, 0)
    typer = RegionTyper.load(TYPER, prompts)
    text = torch.nn.functional.normalize(torch.randn(3, 128), dim=1)
    found = typer.probabilities(torch.randn(1, 3, 128, 128), torch.zeros(1, 8, 8), text)
    assert found.shape == (1, 2)
    assert torch.isfinite(found).all()


def test_what_the_look_says_is_reported_in_the_place_of_the_type_map() -> None:
    product = ProductSettings(defects=(DefectSpec("scratch"), DefectSpec("stain"), DefectSpec("dent")))
    anomaly = np.zeros((32, 32), np.float32)
    anomaly[2:6, 2:6], anomaly[20:24, 20:26] = 0.7, 0.9
    type_map = np.stack([np.full((32, 32), share, np.float32) for share in (0.8, 0.15, 0.05)])
    asked: list[int] = []

    def look(regions: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        asked.extend(int(region.sum()) for region in regions)
        return np.array([[0.1, 0.2], [0.2, 0.7], [0.7, 0.1]], np.float32)

    found = find_regions(anomaly, type_map, product, 0.5, FRAME, name_regions=look)
    assert asked == [24, 16]  # the gravest first
    first, second = sorted(found.defects, key=lambda defect: -defect.score)
    assert (first.defect_type, first.type_probability, first.runner_up) == ("dent", pytest.approx(0.7), "stain")
    assert (second.defect_type, second.runner_up) == ("stain", "scratch")
    assert [d.defect_type for d in find_regions(anomaly, type_map, product, 0.5, FRAME).defects] == ["scratch"] * 2


def always(kind: int, kinds: int = 2) -> NameRegions:
    """Say of all regions that they are surely of one type."""

    def look(regions: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return np.tile(np.eye(kinds, dtype=np.float32)[:, kind : kind + 1], len(regions))

    return look


def first_surely(side: int = 32) -> NDArray[np.float32]:
    return np.stack([np.full((side, side), share, np.float32) for share in (0.9, 0.1)])


def test_those_are_looked_at_that_are_reported() -> None:
    anomaly = np.zeros((32, 32), np.float32)
    anomaly[::4, ::4] = 0.9  # specks
    anomaly[25:32, 25:32] = 0.7  # what is grave, and three specks at its edge
    found = find_regions(anomaly, first_surely(), PLATE, 0.5, FRAME, 3, name_regions=always(1))
    assert [defect.defect_type for defect in found.defects] == ["dent"] * 3
    assert found.defects[0].area_px == 52 * 100
    assert found.omitted == 58


def test_a_region_has_to_reach_the_threshold_and_the_area_of_the_type_it_is_named() -> None:
    strict = ProductSettings(defects=(DefectSpec("scratch", threshold=0.5), DefectSpec("dent", threshold=0.8)))
    anomaly = np.zeros((32, 32), np.float32)
    anomaly[2:6, 2:6], anomaly[20:24, 20:26] = 0.7, 0.9
    dents = find_regions(anomaly, first_surely(), strict, 0.5, FRAME, name_regions=always(1)).defects
    assert [(defect.defect_type, defect.score) for defect in dents] == [("dent", pytest.approx(0.9))]
    scratches = find_regions(anomaly, 1 - first_surely(), strict, 0.5, FRAME, name_regions=always(0)).defects
    assert [defect.defect_type for defect in scratches] == ["scratch"] * 2
    large = ProductSettings(defects=(DefectSpec("scratch"), DefectSpec("dent", min_area_px=2000)))
    (dent,) = find_regions(anomaly, first_surely(), large, 0.5, FRAME, name_regions=always(1)).defects
    assert dent.area_px == 2400
    assert len(find_regions(anomaly, first_surely(), large, 0.5, FRAME, name_regions=always(0)).defects) == 2


def test_a_product_of_one_type_needs_no_look() -> None:
    def look(_: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        raise AssertionError

    one = ProductSettings(defects=(DefectSpec("scratch"),))
    anomaly = np.full((32, 32), 0.9, np.float32)
    assert len(find_regions(anomaly, first_surely()[:1], one, 0.5, FRAME, name_regions=look).defects) == 1


class Broken(RegionTypes):
    """Looks that fail, as for want of memory."""

    def name(self, *_: Any) -> NDArray[np.float32]:
        raise torch.OutOfMemoryError


def test_a_look_that_fails_costs_neither_verdict_nor_regions(caplog: pytest.LogCaptureFixture) -> None:
    strict = replace(weights()[1], pixel_threshold=0.0)
    prompts, _ = init_prompt_weights(TYPER, PLATE.vocabulary, 0)
    broken = Broken(RegionTyper.load(TYPER, prompts), lambda _: {})
    cameras = {"cam1": CameraSettings("plate")}
    plain = InspectionEngine(SPEC, weights()[0], strict, {"plate": PLATE}, cameras)
    served = InspectionEngine(SPEC, weights()[0], strict, {"plate": PLATE}, cameras, region_types=broken)
    one, other = (engine.inspect([engine.decode(frame(1, defect=True))])[0] for engine in (plain, served))
    assert other.defects == one.defects
    assert "regions keep the types of the map" in caplog.text


def test_numbers_that_are_none_name_nothing() -> None:
    prompts, _ = init_prompt_weights(TYPER, PLATE.vocabulary, 0)
    with torch.no_grad():
        prompts.adapters[-1].bias.fill_(torch.nan)
    named = RegionTypes(RegionTyper.load(TYPER, prompts), lambda some: dict.fromkeys(some, torch.eye(3, 128)))
    named.learn_words([PLATE.vocabulary])
    with pytest.raises(InspectorError, match="expected probabilities of types, got numbers that are none"):
        named.name("cam1", BLACK, BLACK, PLATE.vocabulary, [spot(10, 10)])


def test_frames_of_tiles_are_looked_at_in_their_own_pixels() -> None:
    tiled = replace(PLATE, tiles=2)
    strict = replace(weights()[1], pixel_threshold=0.0)
    served = InspectionEngine(
        SPEC, weights()[0], strict, {"plate": tiled}, {"cam1": CameraSettings("plate")}, region_types=region_types()
    )
    decoded = served.decode(frame(1, defect=True))
    assert decoded.pixels.side_px > 96
    (verdict,) = served.inspect([decoded])
    shares = served.name_regions(decoded, [np.ones(decoded.pixels.square.shape[:2], np.uint8)])
    assert verdict.defects[0].type_probability == pytest.approx(float(shares.max()))


def test_the_engine_reports_what_closer_looks_say_and_learns_new_words() -> None:
    strict = replace(weights()[1], pixel_threshold=0.0)
    named = region_types()
    cameras = {"cam1": CameraSettings("plate")}
    plain = InspectionEngine(SPEC, weights()[0], strict, {"plate": PLATE}, cameras)
    served = InspectionEngine(SPEC, weights()[0], strict, {"plate": PLATE}, cameras, region_types=named)
    decoded = served.decode(frame(1, defect=True))
    (verdict,) = served.inspect([decoded])
    (whole,) = verdict.defects  # everything is above a threshold of 0
    every = np.ones((96, 96), np.uint8)
    shares = served.name_regions(decoded, [every])
    assert whole.type_probability == pytest.approx(float(shares.max()))
    assert whole.defect_type == ("scratch", "dent")[int(shares[:, 0].argmax())]
    assert (plain.names_regions, served.names_regions) == (False, True)
    with pytest.raises(ValueError, match="names regions"):
        plain.name_regions(decoded, [every])
    served.set_product("plate", replace(PLATE, defects=(DefectSpec("burr"), DefectSpec("chip"), DefectSpec("crack"))))
    (verdict,) = served.inspect([served.decode(frame(1, defect=True))])
    assert verdict.defects[0].defect_type in {"burr", "chip", "crack"}
