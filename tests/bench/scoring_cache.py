"""What a model sees in the images of data sets, on disk once, so that ways of scoring can be compared in seconds.

Used by ``level_shares.py``. One file a data set: the tapped levels, the text's probabilities, details, texture and
masks of all its normal training images and test images, squeezed to the model's square as the engine does, or to that
of its tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inspector.apps import model_wiring
from inspector.apps.evaluate.plan import named_types
from inspector.dapo.scorer import VisualScorer, pad_text
from inspector.dapo.similarity import type_probabilities
from inspector.dapo.text import encode_vocabularies
from inspector.datasets.opening import open_dataset
from inspector.datasets.reading import image_bytes, read_mask
from inspector.datasets.sample import Sample
from inspector.domain.product import DefectSpec, ProductSettings, Vocabulary
from inspector.settings import Settings
from inspector.vision.decode import DecodeLimits, decode
from inspector.vision.detail_net import DetailNet
from inspector.vision.preprocess import preprocess
from inspector.vision.texture import TextureFeatures
from inspector.vision.tiled_scorer import TiledScorer

BATCH = 16
# Enough normal training images for three draws of 16 and for thresholds; a set's further ones would change nothing.
MOST_NORMAL = 80


@dataclass(frozen=True, slots=True)
class Cached:
    """All images of a set: first the normal training images, then the test images.

    ``taps`` [4][N, rows, columns, D] float16; ``adapted`` likewise, after the adapters; ``details`` [N, cells, cells,
    152] float16, see ``DetailNet``; ``probabilities`` [N, taps, 1+K, rows, columns]; ``default_probabilities`` the same
    for the default vocabulary; ``cls`` and ``default_cls`` [N]; ``texture`` [N, 2 rows, 2 columns, 14]; ``masks`` bool
    [N, S, S]; ``train`` and ``anomalous`` bool [N]; ``names`` of the images.
    """

    name: str
    names: list[str]
    taps: list[Tensor]
    adapted: list[Tensor]
    details: Tensor
    probabilities: Tensor
    default_probabilities: Tensor
    cls: Tensor
    default_cls: Tensor
    texture: Tensor
    masks: Tensor
    train: Tensor
    anomalous: Tensor


def load(folder: Path, name: str) -> Cached:
    """Return a set's cache."""
    return Cached(**torch.load(folder / f"{name}.pt", weights_only=True))


def cache(settings: Settings, paths: list[Path], folder: Path, tiles: int = 1) -> list[str]:
    """Write the caches that are not there yet, images seen through ``tiles`` a side; return the sets' names."""
    folder.mkdir(parents=True, exist_ok=True)
    datasets = [open_dataset(path) for path in paths]
    missing = [dataset for dataset in datasets if not (folder / f"{dataset.name}.pt").exists()]
    if not missing:
        return [dataset.name for dataset in datasets]
    weights, manifest = model_wiring.prompt_weights(settings)
    spec = model_wiring.model_spec(settings)
    default = ProductSettings().vocabulary
    words = {d.name: _words(named_types(d, d.classes[0])) for d in missing}
    text = encode_vocabularies(spec, weights, {default, *words.values()}, manifest.text_mode)
    visual = VisualScorer.load(spec, weights)
    tiled = TiledScorer(visual, BATCH)
    seen_px = tiled.tile.of(tiles).side_px
    texture = TextureFeatures(visual.mean, visual.std)
    details = DetailNet.load(visual.mean, visual.std, visual.device)
    for dataset in missing:
        normal = [s for s in dataset.samples if s.split == "train" and not s.anomalous][:MOST_NORMAL]
        samples = [*normal, *(s for s in dataset.samples if s.split == "test")]
        parts = []
        step = tiled.at_once(seen_px, BATCH)
        for start in range(0, len(samples), step):
            some = samples[start : start + step]
            pixels = [_pixels(sample, seen_px) for sample in some]
            parts.append(
                _seen(
                    tiled,
                    texture,
                    details,
                    preprocess(pixels, visual.mean, visual.std, visual.device),
                    [text[words[dataset.name]], text[default]],
                )
            )
        side = visual.image_size_px
        fields = {
            key: [torch.cat(level) for level in zip(*(part[key] for part in parts), strict=True)]
            if isinstance(parts[0][key], list)
            else torch.cat([part[key] for part in parts])
            for key in parts[0]
        }
        fields |= {
            "name": dataset.name,
            "names": [s.name for s in samples],
            "masks": torch.stack([torch.from_numpy(np.asarray(read_mask(s, (side, side))) > 0) for s in samples]),
            "train": torch.tensor([s.split == "train" for s in samples]),
            "anomalous": torch.tensor([s.anomalous for s in samples]),
        }
        torch.save(fields, folder / f"{dataset.name}.pt")
    return [dataset.name for dataset in datasets]


def _words(types: tuple[str, ...]) -> Vocabulary:
    return ProductSettings(defects=tuple(DefectSpec(name) for name in types)).vocabulary


def _pixels(sample: Sample, side_px: int) -> np.ndarray:
    data, content_type = image_bytes(sample)
    return decode(data, content_type, DecodeLimits(), side_px).pixels


@torch.inference_mode()
def _seen(
    tiled: TiledScorer, texture: TextureFeatures, details: DetailNet, images: Tensor, texts: list[Tensor]
) -> dict:
    rows = columns = tiled.tiling(images.shape[-1]).grid_side
    found: dict = {}
    for key, text in zip(("", "default_"), texts, strict=True):
        padded, mask = pad_text([text] * len(images))
        scores = tiled.score(images, padded, mask)
        by_tap = torch.stack([type_probabilities(each, padded, mask) for each in scores.adapted], 1)
        found[f"{key}probabilities"] = by_tap.transpose(2, 3).reshape(*by_tap.shape[:2], -1, rows, columns)
        found[f"{key}cls"] = scores.image_scores
    found["taps"] = [tap.reshape(len(images), rows, columns, -1).half() for tap in scores.taps]
    found["adapted"] = [tap.reshape(len(images), rows, columns, -1).half() for tap in scores.adapted]
    found["details"] = details(images).half()
    found["texture"] = texture(images, (2 * rows, 2 * columns))
    return found
