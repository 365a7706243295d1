"""How well types are told apart, pixel by pixel.

One-vs-rest: for each type, its own score ranks the pixels of that type against all others, normal ones and those of
other types. Macro: the mean over the types that occur in the class's truth, each counted alike.

Argmax: each pixel gets the type with the highest score. ``type_macro_f1`` looks at defective pixels only and chooses
among the types: given that something is wrong there, is its type right? ``type_macro_f1_background`` looks at all
pixels, and the normal class takes part, in the choice as in the mean. With C[true, predicted] the counted pixels,
F1 of a type = 2 C[t, t] / (sum of row t + sum of column t), as in scikit-learn's ``f1_score``.

Pixels whose type nobody knows are left out everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inspector.evaluation.metrics import Metric, mean
from inspector.evaluation.pixel_scores import PixelScores
from inspector.vision.opencv import cv2

UNKNOWN_TYPE = 255
"""In a type mask: defective, but of a type that is unknown or not in the vocabulary."""


class TypeMeter:
    """Type scores and type masks of one class; ``exact_pixels`` as in ``PixelScores``, shared by the types."""

    def __init__(self, types: Sequence[str], exact_pixels: int) -> None:
        self._types = tuple(types)
        self._scores = {name: PixelScores(exact_pixels // max(1, len(self._types))) for name in self._types}
        size = 1 + len(self._types)
        self._with_background = np.zeros((size, size), np.int64)
        self._among_types = np.zeros((size, size), np.int64)

    @property
    def method(self) -> str:
        """How pixels are ranked: ``exact``, or ``binned, N bins``."""
        return next((scores.method for scores in self._scores.values()), "exact")

    def add(self, type_scores: NDArray[np.float32], type_mask: NDArray[np.uint8]) -> None:
        """Add one image: ``type_scores`` float32 [K, H, W], ``type_mask`` [H, W]: 0 normal, k from 1, 255 unknown."""
        known = type_mask != UNKNOWN_TYPE
        truth = type_mask[known].astype(np.int64)
        # Layer by layer: NumPy reduces over the first of two axes many times slower.
        layers = [layer[known] for layer in type_scores]
        for number, (name, layer) in enumerate(zip(self._types, layers, strict=True), start=1):
            self._scores[name].add_scattered(layer, truth == number)
        best, best_score = _best(layers)
        # The scores are a softmax over normal and all types, so this is what it gives to normal. Ties go to normal.
        chosen = np.where(best_score > 1 - sum(layers), best, 0)
        self._with_background += _counted(truth, chosen, len(self._types))
        defective = truth != 0
        self._among_types += _counted(truth[defective], best[defective], len(self._types))

    def result(self) -> tuple[dict[str, Metric], dict[str, dict[str, Metric]]]:
        """Return the macro metrics by name, and each type's own ``auroc``, ``ap`` and ``f1`` (among types)."""
        ranked = {name: scores.ranking() for name, scores in self._scores.items() if scores.counts[1]}
        absent = dict.fromkeys(
            (name for name in self._types if name not in ranked), Metric(None, "no pixel of this type")
        )
        auroc = {name: ranking.auroc for name, ranking in ranked.items()} | absent
        ap = {name: ranking.ap for name, ranking in ranked.items()} | absent
        f1 = dict(zip(("normal", *self._types), _f1(self._among_types), strict=True))
        macro = {
            "type_auroc": mean(auroc),
            "type_ap": mean(ap),
            "type_macro_f1": self._macro_f1(f1),
            "type_macro_f1_background": self._macro_f1_background(),
        }
        return macro, {name: {"auroc": auroc[name], "ap": ap[name], "f1": f1[name]} for name in self._types}

    def _macro_f1(self, f1: Mapping[str, Metric]) -> Metric:
        if len(self._types) == 1:
            return Metric(None, "only one type to choose from")
        return mean({name: f1[name] for name in self._types})

    def _macro_f1_background(self) -> Metric:
        f1 = dict(zip(("normal", *self._types), _f1(self._with_background), strict=True))
        if all(f1[name].value is None for name in self._types):
            return Metric(None, "no pixel of any type")
        return mean(f1)


def upsampled(type_scores: NDArray[np.float32], height_px: int, width_px: int) -> NDArray[np.float32]:
    """Return maps [K, h, w] as [K, height, width], bilinearly, as anomaly maps are."""
    size = (width_px, height_px)
    layers = [cv2.resize(layer, size, interpolation=cv2.INTER_LINEAR) for layer in type_scores]
    return np.stack(layers).astype(np.float32, copy=False)


def _best(layers: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the number, from 1, of the layer with the highest score (the first of equal ones), and that score."""
    best, best_score = np.ones(layers[0].shape, np.int64), layers[0]
    for number, layer in enumerate(layers[1:], start=2):
        best[layer > best_score] = number
        best_score = np.maximum(best_score, layer)
    return best, best_score


def _counted(truth: NDArray[np.int64], chosen: NDArray[np.int64], types: int) -> NDArray[np.int64]:
    size = 1 + types
    return np.bincount(truth * size + chosen, minlength=size * size).reshape(size, size)


def _f1(confusion: NDArray[np.int64]) -> list[Metric]:
    hits, true, chosen = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        Metric(float(2 * hits[i] / (true[i] + chosen[i]))) if true[i] else Metric(None, "no pixel of this type")
        for i in range(len(hits))
    ]
