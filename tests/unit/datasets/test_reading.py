from __future__ import annotations

from pathlib import Path

import miniatures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inspector.datasets.opening import open_dataset
from inspector.datasets.reading import MaskError, image_bytes, picture_size, read_mask, read_type_mask, same_aspect
from inspector.datasets.sample import Sample

WIDTH, HEIGHT = miniatures.SIZE


def defective(tmp_path: Path, mask: Path | None, types: tuple[str, ...] = ("dent",), **more: object) -> Sample:
    image = miniatures.picture(tmp_path / "image.png")
    return Sample(image, "lid", "test", types, mask, **more)  # type: ignore[arg-type]  # what the test varies


def test_a_good_image_is_normal_all_over(tmp_path: Path) -> None:
    good = Sample(tmp_path / "never read.png", "lid", "test")
    assert read_mask(good, (5, 3)).shape == (3, 5)
    assert not read_mask(good, (5, 3)).any()
    assert not read_type_mask(good, (5, 3), ["dent"]).any()


def test_a_mask_is_thresholded_after_it_is_scaled(tmp_path: Path) -> None:
    grey = np.zeros((HEIGHT, WIDTH), np.uint8)
    grey[:2] = 1  # all of a row of the half size, of a value as small as VisA's
    grey[5] = 1  # half of one, and not the half that sampling would meet: kept
    grey[8, ::4] = 1  # an eighth, which sampling would meet: lost
    Image.fromarray(grey).save(tmp_path / "mask.png")
    mask = read_mask(defective(tmp_path, tmp_path / "mask.png"), (WIDTH // 2, HEIGHT // 2))
    assert mask.dtype == np.uint8
    assert set(np.flatnonzero(mask.any(axis=1))) == {0, 2}
    assert mask[[0, 2]].all()


def test_only_values_above_the_samples_are_defective(tmp_path: Path) -> None:
    drawn = miniatures.drawing(tmp_path / "mask.png", [127, 128])
    mask = read_mask(defective(tmp_path, drawn, mask_above=127), (WIDTH, HEIGHT))
    assert mask.sum() == WIDTH * HEIGHT / 4
    assert mask[HEIGHT // 2 :].any()


def test_a_mask_may_be_asked_for_in_the_models_square(tmp_path: Path) -> None:
    drawn = miniatures.drawing(tmp_path / "mask.png")
    assert read_mask(defective(tmp_path, drawn), (8, 8)).tolist() == [[1] * 4 + [0] * 4] * 8


@pytest.mark.parametrize("mode", ["P", "1", "RGB", "RGBA", "LA", "I;16"])
def test_small_values_survive_in_every_kind_of_png(tmp_path: Path, mode: str) -> None:
    grey = miniatures.strips([1])
    if mode == "P":
        picture = Image.fromarray(grey)
        picture.putpalette([0, 0, 0, 0, 0, 1] + [0] * 762)  # a colour that is as good as black
        picture.save(tmp_path / "mask.png")
    elif mode == "I;16":
        Image.fromarray(grey.astype(np.uint16) * 256).save(tmp_path / "mask.png")
    elif mode == "1":
        Image.fromarray(grey * 255).convert("1").save(tmp_path / "mask.png")
    elif mode == "RGB":
        blue = np.dstack([np.zeros_like(grey), np.zeros_like(grey), grey])
        Image.fromarray(blue).save(tmp_path / "mask.png")
    else:
        Image.fromarray(grey).convert(mode).save(tmp_path / "mask.png")  # opaque: 255 all over beside the values
    mask = read_mask(defective(tmp_path, tmp_path / "mask.png"), (WIDTH, HEIGHT))
    assert (mask == (grey > 0)).all()


def test_one_type_is_all_of_the_mask(tmp_path: Path) -> None:
    sample = defective(tmp_path, miniatures.drawing(tmp_path / "mask.png"))
    assert set(np.unique(read_type_mask(sample, (12, 8), ["crack", "dent"]))) == {0, 2}
    assert set(np.unique(read_type_mask(sample, (12, 8), ["crack"]))) == {0, 255}


def test_values_between_two_types_are_not_made_up(tmp_path: Path) -> None:
    drawn = miniatures.drawing(tmp_path / "mask.png", [1, 3])
    sample = defective(tmp_path, drawn, mask_types=((1, "dent"), (2, "crack"), (3, "scratch")))
    for size in ((7, 5), (60, 40)):
        assert set(np.unique(read_type_mask(sample, size, ["dent", "crack", "scratch"]))) == {0, 1, 3}


def test_a_grey_value_that_stands_for_no_type_is_unknown(tmp_path: Path) -> None:
    drawn = miniatures.drawing(tmp_path / "mask.png", [1, 7])
    sample = defective(tmp_path, drawn, mask_types=((1, "dent"),))
    assert set(np.unique(read_type_mask(sample, miniatures.SIZE, ["dent"]))) == {0, 1, 255}


def test_grey_edges_of_a_scaled_mask_are_of_no_type(tmp_path: Path) -> None:
    drawn = miniatures.drawing(tmp_path / "mask.png", [255, 100])
    types = read_type_mask(defective(tmp_path, drawn, mask_above=127), miniatures.SIZE, ["dent"])
    assert types.sum() == WIDTH * HEIGHT / 4


def test_several_types_that_the_mask_does_not_tell_apart_are_unknown(tmp_path: Path) -> None:
    sample = defective(tmp_path, miniatures.drawing(tmp_path / "mask.png"), ("dent", "crack"))
    assert set(np.unique(read_type_mask(sample, (12, 8), ["crack", "dent"]))) == {0, 255}


def test_visas_grey_values_are_types(tmp_path: Path) -> None:
    dataset = open_dataset(miniatures.visa(tmp_path))
    two = next(sample for sample in dataset.samples if sample.name == "pcb1/Data/Images/Anomaly/001.JPG")
    mask = read_type_mask(two, miniatures.SIZE, dataset.vocabulary("pcb1"))
    assert dataset.vocabulary("pcb1") == ("bent", "melt", "scratch")
    assert mask[:8, :12].tolist() == [[2] * 12] * 8
    assert mask[8:, :12].tolist() == [[3] * 12] * 8
    assert not mask[:, 12:].any()
    assert set(np.unique(read_type_mask(two, miniatures.SIZE, ["scratch"]))) == {0, 1, 255}
    other = next(sample for sample in dataset.samples if sample.name == "cashew/Data/Images/Anomaly/001.JPG")
    assert set(np.unique(read_type_mask(other, miniatures.SIZE, dataset.vocabulary("cashew")))) == {0, 2, 255}


def test_more_types_than_a_byte_holds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at most 254"):
        read_type_mask(defective(tmp_path, None), (4, 4), [str(number) for number in range(255)])


def test_a_mask_of_another_aspect_or_none_or_unreadable_is_named(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match=r"none of .*image\.png"):
        read_mask(defective(tmp_path, None), (8, 8))
    turned = miniatures.drawing(tmp_path / "turned.png", size=(HEIGHT, WIDTH))
    with pytest.raises(MaskError, match=r"16 x 24 of .*image\.png of 24 x 16"):
        read_mask(defective(tmp_path, turned), (8, 8))
    broken = tmp_path / "broken.png"
    broken.write_bytes(turned.read_bytes()[:-20])
    with pytest.raises(MaskError, match=r"broken\.png"):
        read_mask(defective(tmp_path, broken), (8, 8))
    with pytest.raises(MaskError, match=r"gone\.png"):
        read_mask(defective(tmp_path, tmp_path / "gone.png"), (8, 8))


def test_a_mask_of_half_the_size_fits(tmp_path: Path) -> None:
    half = miniatures.drawing(tmp_path / "half.png", size=(WIDTH // 2, HEIGHT // 2))
    assert read_mask(defective(tmp_path, half), (WIDTH, HEIGHT)).sum() == WIDTH * HEIGHT / 2


@given(st.integers(8, 4000), st.integers(8, 4000), st.integers(1, 8))
def test_scaled_sizes_have_one_aspect_and_turned_ones_have_not(width: int, height: int, divisor: int) -> None:
    scaled = (-(-width // divisor), -(-height // divisor))
    if min(scaled) >= 100:
        assert same_aspect(scaled, (width, height))
    if max(width, height) > 1.2 * min(width, height) and min(width, height) > 50:
        assert not same_aspect((height, width), (width, height))


def test_bytes_and_size_are_those_of_the_file(tmp_path: Path) -> None:
    sample = defective(tmp_path, None)
    assert image_bytes(sample) == (sample.image.read_bytes(), "image/png")
    assert picture_size(sample.image) == miniatures.SIZE
