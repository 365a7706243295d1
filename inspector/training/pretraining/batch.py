"""What one step looks at: rendered pairs as tensors, a place in the model's square, and words for what is shown."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process

import numpy as np
import torch
from torch import Tensor

from inspector.domain.errors import InspectorError
from inspector.rendering.defects import DEFECT_TYPES
from inspector.rendering.scenes import Pair, Photographs, render_pair
from inspector.rendering.scenes.captions import caption
from inspector.rendering.scenes.scene import ARTWORK_SHARE
from inspector.rendering.synthetic import UNKNOWN_TYPE
from inspector.rendering.words import words_of
from inspector.training.pretraining.strange_words import made_up, object_word

_ROWS = 16  # of T a step has: all types it shows, and others that compete with them
_STRANGE = 4  # rows of words that name no defect: they are never right
# How often one type that is shown goes by such a word, with no other one beside it: an unknown word then means a defect
# that no other word names.
_RENAMED_SHARE = 0.3
_CONTEXTS = 2  # of the context variants a step uses
_AHEAD = 4  # steps that are painted while one trains


@dataclass(frozen=True, slots=True)
class StepBatch:
    """B pairs: ``pictures`` float32 [2B, 3, S, S], RGB 0..1, first views before second ones; the first views' masks.

    ``type_mask`` int64 [B, S, S] numbers ``words`` from 1, the last of which may mean nothing; ``object_word`` is what
    the product is called; ``captions`` 2B sentences; ``corner`` is the patch of the model's square that the pictures
    begin at; ``contexts`` are the context variants in turn. ``seen``: which patches of each picture are looked at,
    int64 [2B, n] rising, n a square number; None: all of them.
    """

    pictures: Tensor
    type_mask: Tensor
    words: tuple[str, ...]
    object_word: str
    captions: tuple[str, ...]
    corner: tuple[int, int]
    contexts: tuple[int, ...]
    seen: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """The pairs that this process sees in ``step`` (from 0), by their numbers in the whole run; sides in pixels.

    ``defective`` and ``artwork``: how many of their first views show defects, and line artwork, as ``render_pair``.
    """

    step: int
    pairs: tuple[int, ...]
    size_px: int
    defective: float = 0.75
    artwork: float = ARTWORK_SHARE


class Painter:
    """Renders the pairs of steps, in this process or ahead of it in others."""

    def __init__(self, photographs: Photographs | None, seed: int, pool: ProcessPoolExecutor | None = None) -> None:
        self._photographs = photographs
        self._seed = seed
        self._pool = pool

    def pairs(self, requests: Iterator[Request]) -> Iterator[tuple[Request, list[Pair]]]:
        """Yield each request with its pairs, in order. Raises InspectorError where another process died."""
        if self._pool is None:
            for request in requests:
                yield request, [_rendered(self._seed, n, request, self._photographs) for n in request.pairs]
            return
        try:
            yield from _ahead(self._pool, self._seed, requests)
        except BrokenProcessPool as error:
            raise InspectorError(
                "rendering processes that live",
                "one that was killed, perhaps for want of memory",
                "repeat the command with fewer --render-processes",
            ) from error


def _ahead(pool: ProcessPoolExecutor, seed: int, requests: Iterator[Request]) -> Iterator[tuple[Request, list[Pair]]]:
    waiting: deque[tuple[Request, list[Future[Pair]]]] = deque()
    for request in requests:
        waiting.append((request, [pool.submit(_paint, seed, n, request) for n in request.pairs]))
        if len(waiting) > _AHEAD:
            yield _painted(*waiting.popleft())
    while waiting:
        yield _painted(*waiting.popleft())


@contextmanager
def painter(photographs: Photographs | None, seed: int, processes: int) -> Iterator[Painter]:
    """Yield a painter with ``processes`` others, which end with the block; 0: it paints in this one."""
    if not processes:
        yield Painter(photographs, seed)
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _remember, (photographs,))
    try:
        yield Painter(photographs, seed, pool)
    finally:
        pool.shutdown(cancel_futures=True)


def _painted(request: Request, futures: Sequence[Future[Pair]]) -> tuple[Request, list[Pair]]:
    return request, [future.result() for future in futures]


_shared: dict[str, Photographs | None] = {}


def _remember(photographs: Photographs | None) -> None:
    # Ctrl-C and torchrun tell the whole group; whoever trains finishes its step first, then ends these.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _shared["photographs"] = photographs


def _end_with_parent() -> None:
    """A parent that was killed cannot end its children, which would wait for work for ever."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _paint(seed: int, number: int, request: Request) -> Pair:
    return _rendered(seed, number, request, _shared["photographs"])


def _rendered(seed: int, number: int, request: Request, photographs: Photographs | None) -> Pair:
    return render_pair(
        (seed, number), request.size_px, photographs, defective=request.defective, artwork=request.artwork
    )


def step_batch(
    pairs: Sequence[Pair],
    step: int,
    seed: int,
    grid: int,
    patch_px: int,
    contexts: int,
    seen_share: float = 1.0,
) -> StepBatch:
    """Return the pairs of ``step`` as tensors, with words, places and contexts that ``seed`` and ``step`` choose.

    Args:
        pairs: of one size, a multiple of ``patch_px``.
        step: its number in the run, from 0.
        seed: of the run.
        grid: patches a side of the model's own square.
        patch_px: side of a patch.
        contexts: variants of the learnable context that there are.
        seen_share: about how many of a picture's patches are looked at, above 0, at most 1.
    """
    rng = np.random.default_rng([seed, 1, step])
    pictures = np.stack([p.first for p in pairs] + [p.second for p in pairs])[..., ::-1]
    masks = np.stack([p.type_mask for p in pairs])
    shown = [int(k) for k in np.unique(masks) if k not in (0, UNKNOWN_TYPE)]
    others = rng.permutation([k for k in range(1, 1 + len(DEFECT_TYPES)) if k not in shown])
    labels = [*shown, *(int(k) for k in others[: max(0, _ROWS - len(shown))])]
    rows = np.zeros(256, np.int64)
    rows[labels], rows[UNKNOWN_TYPE] = range(1, 1 + len(labels)), UNKNOWN_TYPE
    known = [words_of(DEFECT_TYPES[k - 1]) for k in labels]
    # Each by its own name half of the time, which is what most vocabularies say.
    words = [each[0] if rng.random() < 0.5 else each[int(rng.integers(len(each)))] for each in known]
    renamed = bool(shown) and rng.random() < _RENAMED_SHARE
    if renamed:
        words[int(rng.integers(len(shown)))] = made_up(rng)
    strange = () if renamed else tuple(made_up(rng) for _ in range(_STRANGE))
    side = pictures.shape[1] // patch_px
    room = grid - side
    return StepBatch(
        torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255,
        torch.from_numpy(rows[masks]),
        (*words, *strange),
        object_word(rng),
        (*(p.caption for p in pairs), *(caption(rng, p.surface, ()) for p in pairs)),
        (int(rng.integers(room + 1)), int(rng.integers(room + 1))),
        tuple(int(k) for k in rng.permutation(contexts)[:_CONTEXTS]),
        _some_patches(rng, len(pictures), side, seen_share),
    )


def _some_patches(rng: np.random.Generator, count: int, side: int, share: float) -> Tensor | None:
    """Draw patches of ``count`` pictures of ``side`` x ``side``: a square number, so that they are a smaller grid."""
    kept = round(side * math.sqrt(share))
    if kept >= side:
        return None
    drawn = [np.sort(rng.permutation(side * side)[: max(1, kept) ** 2]) for _ in range(count)]
    return torch.from_numpy(np.stack(drawn))
