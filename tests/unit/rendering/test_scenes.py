from __future__ import annotations

import numpy as np
import pytest

from inspector.rendering.defects import CONDUCTOR_TYPES, DEFECT_TYPES
from inspector.rendering.scenes import Pair, render_pair
from inspector.rendering.scenes.captions import caption
from inspector.rendering.scenes.sheet import sheet
from inspector.rendering.synthetic import UNKNOWN_TYPE, words_of

_SIZE_PX = 96


def _pairs(count: int, defective: float) -> list[Pair]:
    return [render_pair((11, i), _SIZE_PX, defective=defective) for i in range(count)]


@pytest.fixture(scope="module")
def damaged() -> list[Pair]:
    return _pairs(60, 1.0)


@pytest.fixture(scope="module")
def good() -> list[Pair]:
    return _pairs(60, 0.0)


def test_a_key_gives_the_same_pixels_and_words_and_another_key_others() -> None:
    again = [render_pair((3, 5), 64), render_pair((3, 5), 64)]
    other = render_pair((3, 6), 64)

    for name in ("first", "second", "type_mask"):
        assert np.array_equal(getattr(again[0], name), getattr(again[1], name))
    assert (again[0].surface, again[0].caption) == (again[1].surface, again[1].caption)
    assert not np.array_equal(again[0].first, other.first)


def test_pictures_and_masks_have_the_size_asked_for_and_labels_of_the_vocabulary(damaged: list[Pair]) -> None:
    for pair in damaged:
        assert pair.first.shape == pair.second.shape == (_SIZE_PX, _SIZE_PX, 3)
        assert pair.type_mask.shape == (_SIZE_PX, _SIZE_PX)
        assert {pair.first.dtype, pair.second.dtype, pair.type_mask.dtype} == {np.dtype(np.uint8)}
        labels = set(np.unique(pair.type_mask).tolist())
        assert labels <= {*range(len(DEFECT_TYPES) + 1), UNKNOWN_TYPE}


def test_defects_come_as_often_as_asked_for(damaged: list[Pair], good: list[Pair]) -> None:
    assert not any(pair.type_mask.any() for pair in good)
    # On a very busy picture nothing can be seen, and a threshold may erase what was faint.
    assert sum(bool(pair.type_mask.any()) for pair in damaged) >= 0.85 * len(damaged)


def test_the_second_view_is_the_same_whatever_happens_to_the_first(damaged: list[Pair], good: list[Pair]) -> None:
    for with_defects, without in zip(damaged, good, strict=True):
        assert np.array_equal(with_defects.second, without.second)


def test_the_mask_is_where_the_first_view_changes(damaged: list[Pair], good: list[Pair]) -> None:
    inside, outside = [], []
    for with_defects, without in zip(damaged, good, strict=True):
        changed = np.abs(with_defects.first.astype(np.float32) - without.first).mean(axis=2)
        if with_defects.type_mask.any():
            inside.append(changed[with_defects.type_mask > 0].mean())
            outside.append(changed[with_defects.type_mask == 0].mean())

    assert np.median(inside) > 15
    assert np.median(outside) < 1  # blur and compression carry a little beyond


def test_labels_are_places_in_the_vocabulary_that_was_given() -> None:
    types = ("stain", "no such thing", "scratch")
    pairs = [render_pair((5, i), 64, types=types, defective=1.0) for i in range(40)]
    named = [(int(label), pair.caption) for pair in pairs for label in np.unique(pair.type_mask)]

    assert {label for label, _ in named} == {0, 1, 3, UNKNOWN_TYPE}
    for label, words in named:
        if label == 1:
            assert any(word in words for word in words_of("stain"))


def test_conductors_alone_have_the_defects_of_conductors(damaged: list[Pair]) -> None:
    conductor_labels = {DEFECT_TYPES.index(kind) + 1 for kind in CONDUCTOR_TYPES}
    seen = [pair for pair in damaged if conductor_labels & set(np.unique(pair.type_mask).tolist())]

    assert seen
    for pair in seen:
        assert any(word in pair.surface for word in ("circuit", "conductors", "board", "copper"))


def test_some_pairs_show_the_same_place_and_some_another(good: list[Pair]) -> None:
    def alike(pair: Pair) -> float:
        first, second = (np.asarray(p, np.float32).mean(axis=2).ravel() for p in (pair.first, pair.second))
        return float(np.corrcoef(first, second)[0, 1])

    likeness = [alike(pair) for pair in good]

    assert sum(value > 0.8 for value in likeness) > 3
    assert sum(value < 0.4 for value in likeness) > 15


def test_pictures_can_be_seen(good: list[Pair]) -> None:
    blank = [picture.std() < 2 for pair in good for picture in (pair.first, pair.second)]

    assert np.mean(blank) < 0.02


@pytest.mark.parametrize("size_px", [0, 63])
def test_a_picture_too_small_is_refused(size_px: int) -> None:
    with pytest.raises(ValueError, match="64 px"):
        render_pair((1,), size_px)


def test_captions_say_what_is_wrong_and_call_good_what_is_good() -> None:
    rng = np.random.default_rng(2)
    good = {caption(rng, "brushed metal", []) for _ in range(60)}
    bad = {caption(rng, "a mosaic", ["scratch", None]) for _ in range(60)}

    assert min(len(good), len(bad)) > 30  # worded in many ways
    assert all("brushed metal" in words and "scratch" not in words for words in good)
    assert all("mosaic" in words and any(word in words for word in words_of("scratch")) for words in bad)


def test_captions_put_articles_where_they_belong() -> None:
    rng = np.random.default_rng(3)
    texts = [caption(rng, "a mosaic", kinds) for kinds in ([], ["open"], ["rust"], ["missing"]) for _ in range(80)]

    assert not [
        text for text in texts for wrong in (" a a ", " the a ", "a open", "a rust ", "flawless a ") if wrong in text
    ]


def test_the_sheet_shows_each_pair_three_times_beside_itself() -> None:
    picture = sheet(None, columns=2, rows=1, size_px=64)

    assert picture.shape[1] == 2 * 3 * 64
    assert picture.shape[0] > 64


def test_as_many_scenes_are_line_artwork_as_are_asked_for() -> None:
    none, all_of_them = ([render_pair((9, i), 64, artwork=share).surface for i in range(24)] for share in (0.0, 1.0))
    assert not set(none) & set(all_of_them)
