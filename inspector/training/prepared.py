"""Each example read once: its labels, and on disk the embedded image and its mask for every later epoch."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.product import Vocabulary
from inspector.domain.records import from_json, to_json
from inspector.files import write_whole
from inspector.training.examples import ExampleSource, TrainingExample, UnreadableExampleError
from inspector.training.prompt_model import FrozenTowers
from inspector.vision.preprocess import preprocess

_INDEX = "index.json"
# Free disk that is left to others.
_LEAST_FREE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of a readable example without its pixels; ``index`` is its position in the source."""

    index: int
    anomalous: bool
    segmented: bool
    vocabulary: Vocabulary


@dataclass(frozen=True, slots=True)
class Index:
    """All readable examples in the order of the source, why the others are not, and how many rows the stores hold.

    The first ``embedded`` examples have an embedded image on disk, the next ``decoded`` their pixels only.
    """

    labels: tuple[Labels, ...]
    unreadable: tuple[str, ...]
    embedded: int
    decoded: int


class PreparedExamples:
    """Readable examples by position, their images embedded; those beyond the bound of the cache are read anew."""

    def __init__(self, source: ExampleSource, towers: FrozenTowers, folder: Path, index: Index) -> None:
        self._source = source
        self._towers = towers
        self._index = index
        self._embeddings = _open(folder / "embeddings.npy") if index.embedded else None
        self._pixels = _open(folder / "pixels.npy") if index.decoded else None
        self._masks = _open(folder / "masks.npy") if index.embedded + index.decoded else None

    @property
    def labels(self) -> tuple[Labels, ...]:
        """The readable examples."""
        return self._index.labels

    @property
    def unreadable(self) -> tuple[str, ...]:
        """The others: name and reason."""
        return self._index.unreadable

    def get(self, position: int) -> tuple[Tensor, NDArray[np.uint8]]:
        """Return the embedded image, float32 [1 + P, D_v], and the type mask, uint8 [S, S], of a readable example.

        Raises:
            InspectorError: the example was readable and is not any more.
        """
        embedded, decoded = self._index.embedded, self._index.decoded
        if self._embeddings is not None and self._masks is not None and position < embedded:
            return torch.from_numpy(np.array(self._embeddings[position])), np.array(self._masks[position])
        if self._pixels is not None and self._masks is not None and position < embedded + decoded:
            pixels = np.array(self._pixels[position - embedded])
            return embed(self._towers, pixels), np.array(self._masks[position])
        example = self._read(position)
        return embed(self._towers, example.pixels), example.type_mask

    def pixels(self, position: int) -> NDArray[np.uint8]:
        """Return the image of a readable example itself, uint8 [S, S, 3]. Raises as ``get``."""
        kept = position - self._index.embedded
        if self._pixels is not None and 0 <= kept < self._index.decoded:
            return np.array(self._pixels[kept])
        return self._read(position).pixels

    def _read(self, position: int) -> TrainingExample:
        try:
            return self._source[self.labels[position].index]
        except UnreadableExampleError as error:
            raise InspectorError(
                "an example that could be read before", str(error), "bring the file back, or begin anew with --restart"
            ) from error


def prepare(
    source: ExampleSource,
    towers: FrozenTowers,
    folder: Path,
    backbone: str,
    cache_bytes: int,
    step: Callable[[int, int], None],
) -> PreparedExamples:
    """Read every example once and keep what is made of it in ``folder``; what is there already is used.

    The cache is named by what it holds (examples, frozen weights, image size and normalisation); another one in the
    folder is removed.
    It takes at most ``cache_bytes``, and at most half of the disk that is free. One process writes.

    Args:
        backbone: identifies the frozen weights, see ``backbone_id``.
        step: called after each example with (done, all).

    Raises:
        BadInputError: no example can be read, or two are of different sizes.
        OSError: the folder cannot be written.
    """
    place = cache_place(source, towers, folder, backbone)
    if (place / _INDEX).exists():
        return opened(source, towers, place)
    remove_cache(folder)
    place.mkdir(parents=True)
    side, (tokens, width) = towers.visual.shape.image_size_px, _embedding_shape(towers)
    room = min(cache_bytes, int(shutil.disk_usage(folder).free * _LEAST_FREE_SHARE))
    sizes = (tokens * width * 4, side * side * 3, side * side)
    embedded, decoded = share_room(len(source), room, *sizes)
    stores = (
        _create(place / "embeddings.npy", (embedded, tokens, width), np.float32),
        _create(place / "pixels.npy", (decoded, side, side, 3), np.uint8),
        _create(place / "masks.npy", (embedded + decoded, side, side), np.uint8),
    )
    labels: list[Labels] = []
    unreadable: list[str] = []
    for i in range(len(source)):
        try:
            example = source[i]
        except UnreadableExampleError as error:
            unreadable.append(str(error))
        else:
            _check_size(example, side)
            _keep(example, len(labels), embedded, stores, towers)
            labels.append(Labels(i, example.anomalous, example.segmented, example.vocabulary))
        step(i + 1, len(source))
    for store in stores:
        if isinstance(store, np.memmap):
            store.flush()
    index = Index(tuple(labels), tuple(unreadable), embedded, decoded)
    write_whole(place / _INDEX, to_json(index), alone=True)  # last: without it, nothing here counts
    return PreparedExamples(source, towers, place, index)


def remove_cache(folder: Path) -> None:
    """Remove all caches in ``folder``, the index of each first: what is left of a removal cut short does not count."""
    for index in folder.glob(f"*/{_INDEX}"):
        index.unlink()
    if folder.exists():
        shutil.rmtree(folder)


def cache_place(source: ExampleSource, towers: FrozenTowers, folder: Path, backbone: str) -> Path:
    """Return the folder of the cache for these examples and these frozen weights."""
    visual = towers.visual
    what = f"2\n{source.fingerprint}\n{backbone}\n{visual.shape!r}\n{visual.mean} {visual.std}"
    return folder / hashlib.sha256(what.encode()).hexdigest()[:24]


def opened(source: ExampleSource, towers: FrozenTowers, place: Path) -> PreparedExamples:
    """Return what ``prepare`` left in ``place``; raises ``OSError`` where it did not."""
    index = from_json(Index, (place / _INDEX).read_bytes())
    # Every image has a vocabulary, few are different: one object each, which batches compare by the thousand.
    shared: dict[Vocabulary, Vocabulary] = {}
    labels = tuple(
        replace(label, vocabulary=shared.setdefault(label.vocabulary, label.vocabulary)) for label in index.labels
    )
    return PreparedExamples(source, towers, place, replace(index, labels=labels))


def share_room(count: int, room: int, embedding: int, pixels: int, mask: int) -> tuple[int, int]:
    """Return how many of ``count`` examples are kept embedded, and how many more decoded, within ``room`` bytes.

    Reading a file anew costs more than embedding its pixels anew, so pixels of all come before embeddings of some.
    """
    if count * (embedding + mask) <= room:
        return count, 0
    if embedding <= pixels:
        return room // (embedding + mask), 0
    embedded = max(0, (room - count * (pixels + mask)) // (embedding - pixels))
    return embedded, min(count - embedded, (room - embedded * (embedding + mask)) // (pixels + mask))


def embed(towers: FrozenTowers, pixels: NDArray[np.uint8]) -> Tensor:
    """Return an image, uint8 [S, S, 3], as ``FrozenTowers.embed`` does: float32 [1 + P, D_v]."""
    return towers.embed(preprocess([pixels], towers.visual.mean, towers.visual.std)[0])


def _keep(
    example: TrainingExample,
    position: int,
    embedded: int,
    stores: tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8]],
    towers: FrozenTowers,
) -> None:
    embeddings, pixels, masks = stores
    if position < embedded:
        embeddings[position] = embed(towers, example.pixels).numpy()
    elif position < len(masks):
        pixels[position - embedded] = example.pixels
    if position < len(masks):
        masks[position] = example.type_mask


def _embedding_shape(towers: FrozenTowers) -> tuple[int, int]:
    rows, columns = towers.visual.shape.grid
    return 1 + rows * columns, towers.visual.shape.visual_width


def _check_size(example: TrainingExample, side: int) -> None:
    if example.pixels.shape != (side, side, 3) or example.type_mask.shape != (side, side):
        raise BadInputError(
            f"examples of {side} x {side} pixels, as the model takes them",
            f"pixels {list(example.pixels.shape)}, mask {list(example.type_mask.shape)}",
            "make the example source for model.image_size_px",
        )


def _create(path: Path, shape: tuple[int, ...], dtype: type[np.float32] | type[np.uint8]) -> NDArray[Any]:
    """Return a new array on disk whose room is really there: writing into a hole of a full disk kills a process."""
    if 0 in shape:
        return np.empty(shape, dtype)
    store = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return store


def _open(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
