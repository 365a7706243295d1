from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inspector.domain.errors import BadInputError
from inspector.rendering.scenes import Photographs, render_pair
from inspector.rendering.scenes.photographs import surface_words
from inspector.vision.opencv import cv2


def _photograph(folder: Path, name: str, size: tuple[int, int] = (80, 120)) -> None:
    noise = np.random.default_rng(len(name)).integers(60, 200, (*size, 3), dtype=np.uint8)
    assert cv2.imwrite(str(folder / name), noise)


def test_photographs_are_surfaces_of_about_half_of_the_pairs(tmp_path: Path) -> None:
    _photograph(tmp_path, "017_library_ZebraHide004.jpg")
    photographs = Photographs.load(tmp_path)
    named = ["zebra hide" in render_pair((4, i), 64, photographs).surface for i in range(80)]

    # Not all that lie free are called by their material.
    assert 0.25 < np.mean(named) < 0.65


def test_photographs_keep_their_proportions_and_little_memory(tmp_path: Path) -> None:
    _photograph(tmp_path, "wide.png", (300, 1200))
    drawn = Photographs.load(tmp_path).surface(np.random.default_rng(0), 1.0).draw(np.random.default_rng(0), 96)

    assert drawn.shape == (96, 96, 3)
    assert drawn.dtype == np.float32


def test_a_surface_differs_from_place_to_place_but_not_for_the_same_place(tmp_path: Path) -> None:
    _photograph(tmp_path, "large.png", (500, 500))
    surface = Photographs.load(tmp_path).surface(np.random.default_rng(0), 1.0)
    first, again, other = (surface.draw(np.random.default_rng(seed), 64) for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_names_of_marked_photographs_stay_out(tmp_path: Path) -> None:
    for name in ("001_Rust004.jpg", "002_rusty_metal.jpg", "003_PaintedMetal007.jpg", "004_Wood005.jpg"):
        _photograph(tmp_path, name)

    assert Photographs.load(tmp_path).names == ("004_Wood005",)
    assert len(Photographs.load(tmp_path, exclude=())) == 4
    assert Photographs.load(tmp_path, exclude=("*Wood*",)).names == (
        "001_Rust004",
        "002_rusty_metal",
        "003_PaintedMetal007",
    )


def test_the_split_is_disjoint_whole_and_stays_when_files_are_added(tmp_path: Path) -> None:
    for i in range(30):
        _photograph(tmp_path, f"{i:02}.png", (20, 20))
    kept, out = Photographs.load(tmp_path).split(0.3, seed=1)
    _photograph(tmp_path, "more.png", (20, 20))
    _, out_later = Photographs.load(tmp_path).split(0.3, seed=1)

    assert not set(kept.names) & set(out.names)
    assert len(kept) + len(out) == 30
    assert 3 <= len(out) <= 16
    assert set(out.names) <= set(out_later.names)


def test_a_split_that_leaves_one_part_empty_is_refused(tmp_path: Path) -> None:
    _photograph(tmp_path, "one.png")

    with pytest.raises(BadInputError, match="add photographs"):
        Photographs.load(tmp_path).split(0.5)


@pytest.mark.parametrize("files", [[], ["notes.txt"], ["001_Rust004.jpg"]])
def test_a_folder_without_photographs_is_refused(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"nothing to see")

    with pytest.raises(BadInputError, match="a folder of photographs"):
        Photographs.load(tmp_path)


def test_a_photograph_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")

    with pytest.raises(BadInputError, match=r"torn\.jpg"):
        Photographs.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("096_ambientCG_WoodFloor004", "wood floor"),
        ("202_PolyHaven_old_planks_02", "old planks"),
        ("067_ambientCG_Planks037A", "planks"),
        ("IMG_0031", "a surface"),
    ],
)
def test_file_names_say_what_a_photograph_shows(name: str, words: str) -> None:
    assert surface_words(name)[0] == words
