from __future__ import annotations

from pathlib import Path

import pytest

from inspector.datasets.layouts.mvtec import sample_at


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name in (
        "train/good/000.png",
        "test/good/000.png",
        "test/short/007.jpg",
        "test/short/008.png",
        "test/short/009.png",
        "ground_truth/short/007_mask.png",
        "ground_truth/short/008.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_good_image_is_known_to_be_normal_all_over(dataset: Path, split: str) -> None:
    truth = sample_at(dataset / split / "good" / "000.png")
    assert truth is not None
    assert (truth.anomalous, truth.mask, truth.has_pixel_truth) == (False, None, True)


@pytest.mark.parametrize(("image", "mask"), [("007.jpg", "007_mask.png"), ("008.png", "008.png")])
def test_a_defect_has_its_type_and_mask(dataset: Path, image: str, mask: str) -> None:
    truth = sample_at(dataset / "test" / "short" / image)
    assert truth is not None
    assert (truth.defect_types, truth.anomalous, truth.has_pixel_truth) == (("short",), True, True)
    assert truth.mask == dataset / "ground_truth" / "short" / mask


def test_a_defect_nobody_drew_is_anomalous_without_pixel_truth(dataset: Path) -> None:
    truth = sample_at(dataset / "test" / "short" / "009.png")
    assert truth is not None
    assert (truth.anomalous, truth.mask, truth.has_pixel_truth) == (True, None, False)


def test_a_relative_path_is_enough(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(dataset / "test" / "short")
    truth = sample_at(Path("007.jpg"))
    assert truth is not None
    assert truth.mask is not None


def test_an_image_elsewhere_has_no_truth(tmp_path: Path) -> None:
    assert sample_at(tmp_path / "holiday" / "001.png") is None
