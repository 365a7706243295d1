"""What regions look like to words: the right patches, marked with their weights, and nothing taken on trust."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from engine_kit import engine, frame
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save
from torch.nn import functional

from inspector.dapo.scorer import patch_embeddings
from inspector.domain.errors import BadInputError
from inspector.domain.product import CameraSettings
from inspector.vision.region_embeddings import (
    MadeWith,
    Patches,
    RegionEmbeddings,
    dump_regions,
    embed_regions,
    parse_regions,
)

MADE_WITH = MadeWith("m", "w1", True)


def test_a_patchs_dot_product_with_a_text_is_the_mean_of_its_taps_cosines() -> None:
    taps = tuple(torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(3))
    text = functional.normalize(torch.arange(8.0), dim=-1)
    cosines = torch.stack([functional.cosine_similarity(tap, text, dim=-1) for tap in taps]).mean(0)
    torch.testing.assert_close(patch_embeddings(taps) @ text, cosines)


def test_a_region_is_the_mean_of_its_patches_by_how_much_of_it_lies_on_each() -> None:
    labels = np.zeros((4, 8), np.int32)
    labels[0:2, 0:3] = 1  # four pixels on the first patch, two on the second
    labels[3, 7] = 2
    # Lengths do not count, nor does a second tap that says the same.
    first, second = embed_regions(labels, 2, Patches((3 * torch.eye(8), torch.eye(8)), (2, 4)))
    expected = np.array([4, 2, 0, 0, 0, 0, 0, 0]) / np.hypot(4, 2)
    np.testing.assert_allclose(first, expected, atol=1e-3)
    np.testing.assert_array_equal(second, np.eye(8)[7])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_any_region_on_any_grid_has_an_embedding_of_length_one(rows: int, columns: int, side: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, (side, side)).astype(np.int32)
    labels.flat[0] = 1
    present = sorted({int(label) for label in labels.flat} - {0})
    labels = np.searchsorted([0, *present], labels).astype(np.int32)
    patches = Patches((torch.from_numpy(random.random((rows * columns, 5)) + 0.1),), (rows, columns))
    lengths = np.linalg.norm(embed_regions(labels, len(present), patches).astype(np.float32), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=2e-3)


def test_they_come_back_as_they_went() -> None:
    values = np.eye(3, dtype=np.float16)[:2]
    read = parse_regions(dump_regions(RegionEmbeddings(values, MADE_WITH)))
    np.testing.assert_array_equal(read.values, values)
    assert read.made_with == MADE_WITH


GOOD = dump_regions(RegionEmbeddings(np.eye(3, dtype=np.float16), MADE_WITH))
INFO = {"info": 'inspection.regions/1\n{"model": "m", "weights_version": "w", "trained": false}'}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 64,
        GOOD[:-1],
        GOOD + b"x" * 2**20,
        save({"embeddings": np.eye(2, dtype=np.float16)}),
        save({"embeddings": np.eye(2, dtype=np.float16)}, {"info": "inspection.regions/9\n{}"}),
        save({"embeddings": np.eye(2, dtype=np.float16)}, {"info": "inspection.regions/1\n{}"}),
        save({"other": np.eye(2, dtype=np.float16)}, INFO),
        save({"embeddings": np.eye(2, dtype=np.float32)}, INFO),
        save({"embeddings": np.ones(3, np.float16)}, INFO),
        save({"embeddings": np.zeros((0, 3), np.float16)}, INFO),
        save({"embeddings": np.full((1, 3), np.nan, np.float16)}, INFO),
        save({"embeddings": np.full((1, 3), 9, np.float16)}, INFO),
    ],
)
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(BadInputError):
        parse_regions(data)


def test_no_number_of_16_bits_does_more_than_be_refused() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    for values in (every[~np.isfinite(every)], every):  # signalling NaNs among them
        with pytest.raises(BadInputError, match="not finite"):
            parse_regions(save({"embeddings": values[:, None]}, INFO))


@given(st.binary(max_size=200), st.integers(0, len(GOOD) - 1))
def test_damage_is_refused_and_nothing_else_happens(noise: bytes, at: int) -> None:
    damaged = (GOOD[:at] + noise + GOOD[at:])[: len(GOOD) + 64]
    with contextlib.suppress(BadInputError):
        assert parse_regions(damaged).values.shape[0] > 0


def test_the_engine_keeps_one_row_for_each_listed_defect_and_none_without_defects() -> None:
    made = engine()
    made.set_camera("cam1", CameraSettings("plate", pixel_threshold=0.0))
    made.set_camera("cam2", CameraSettings("board", pixel_threshold=1.0))
    (shown, raw), (empty, _) = made.inspect_with_raw(
        [made.decode(frame(1, defect=True)), made.decode(frame(2, "cam2", "board"))]
    )
    assert raw.patches is None  # used, and not held: those of tiled frames are large
    assert shown.evidence.regions is not None
    read = parse_regions(shown.evidence.regions)
    assert len(read.values) == len(shown.defects) == 1
    assert read.made_with == MadeWith(made.model_name, made.weights_version, trained=False)
    assert (empty.defects, empty.evidence.regions) == ((), None)
    (defect,) = shown.defects
    assert defect.type_probability is not None
    assert defect.runner_up_probability is not None
    assert {defect.defect_type, defect.runner_up} == {"scratch", "dent"}
    assert defect.type_probability + defect.runner_up_probability == pytest.approx(1)
    assert shown.weights_trained is False
