"""What the defects of a frame look like to words: one embedding each, kept beside the result to be searched by text."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor

from inspector.dapo.scorer import patch_embeddings
from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json
from inspector.vision.marked_tensors import UnmarkedError, mark, marked_record

REGIONS_SCHEMA = "inspection.regions/1"
_TENSOR = "embeddings"
_MAX_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class MadeWith:
    """Which model and prompt weights embeddings are from, and whether the weights were trained.

    Only embeddings of the same weights compare.
    """

    model: str
    weights_version: str
    trained: bool


@dataclass(frozen=True, slots=True)
class RegionEmbeddings:
    """``values`` float16 [R, D] of length 1, one row for each listed defect, in the result's order."""

    values: NDArray[np.float16] = field(repr=False)
    made_with: MadeWith


@dataclass(frozen=True, slots=True)
class Patches:
    """One frame's patches after the adapters, [P, D] of each tap, in rows and columns of ``grid``.

    Embedded only where a region lies: most frames have none, and all patches of all frames would cost percents.
    """

    taps: tuple[Tensor, ...] = field(repr=False)
    grid: tuple[int, int]

    @torch.inference_mode()
    def embeddings(self, chosen: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return what text is compared with at the ``chosen`` patches, float32 [len(chosen), D]."""
        rows = torch.from_numpy(chosen).to(self.taps[0].device)
        embeddings: NDArray[np.float32] = patch_embeddings([tap[rows] for tap in self.taps]).cpu().numpy()
        return embeddings


def embed_regions(labels: NDArray[np.int32], regions: int, patches: Patches) -> NDArray[np.float16]:
    """Average the patches of each region, weighted by how much of the region lies on each, and set the length to 1.

    Args:
        labels: [S, S], k where the k-th region lies (1-based), 0 elsewhere.
        regions: how many there are, R.
        patches: of the same frame.

    Returns:
        float16 [R, D].
    """
    (height, width), (rows, columns) = labels.shape, patches.grid
    y, x = np.nonzero(labels)
    patch = (y * rows // height) * columns + x * columns // width
    place = (labels[y, x] - 1) * (rows * columns) + patch
    shares = np.bincount(place, minlength=regions * rows * columns).reshape(regions, rows * columns)
    used = np.flatnonzero(shares.any(axis=0))
    sums = shares[:, used] @ patches.embeddings(used).astype(np.float64)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    embeddings: NDArray[np.float16] = (sums / np.maximum(lengths, 1e-12)).astype(np.float16)
    return embeddings


def dump_regions(regions: RegionEmbeddings) -> bytes:
    """Return the embeddings as bytes that say what they are."""
    return save({_TENSOR: np.ascontiguousarray(regions.values)}, mark(REGIONS_SCHEMA, regions.made_with))


def parse_regions(data: bytes) -> RegionEmbeddings:
    """Read and verify what ``dump_regions`` wrote (untrusted).

    Raises:
        BadInputError: it is something else, of another schema, or its numbers are no embeddings.
    """
    if len(data) > _MAX_BYTES:
        raise _bad(f"{len(data)} bytes")
    made_with = _parse_info(data)
    try:
        values = load(data).get(_TENSOR)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _bad(str(error)[:200]) from error
    if values is None or values.ndim != 2 or values.dtype != np.float16 or not values.size:
        raise _bad("no float16 [R, D]" if values is None else f"{values.dtype} {list(values.shape)}")
    if not np.isfinite(values).all():  # before any sum: numpy warns of some NaNs
        raise _bad("numbers that are not finite")
    lengths = np.linalg.norm(values.astype(np.float32), axis=1)
    if not (np.abs(lengths - 1) < 0.01).all():
        raise _bad("embeddings that are not of length 1")
    return RegionEmbeddings(values, made_with)


def _parse_info(data: bytes) -> MadeWith:
    try:
        return from_json(MadeWith, marked_record(data, REGIONS_SCHEMA))
    except UnmarkedError as error:
        raise _bad(str(error)) from error


def _bad(got: str) -> BadInputError:
    return BadInputError(
        f"region embeddings ({REGIONS_SCHEMA})",
        got,
        "check what else writes to this Redis; frames inspected anew are fine",
    )
