"""Tuning on synthetic defects, on frozen random features: pixel AUROC on held-out parts, from chance to above 0.9."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import torch
from unit.training.surfaces_kit import good_surfaces

from inspector.dapo.prompt_weights import PromptWeights, init_prompt_weights
from inspector.dapo.scorer import VisualScorer, anomaly_grid, pad_text, upsample
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text import encode_vocabularies
from inspector.domain.product import Vocabulary
from inspector.evaluation.ranking import rank_images
from inspector.training.options import TrainingOptions
from inspector.training.synthetic_examples import SyntheticExamples
from inspector.training.trainer import train
from inspector.vision.preprocess import preprocess

SIDE_PX = 128
MODEL = ModelSpec("inspector-s", image_size_px=SIDE_PX)
# Thin scratches are finer than this model's 8 x 8 patches: they are left to finer ones.
WORDS = Vocabulary(("stain", "hole", "contamination"))
TRAINING = TrainingOptions(epochs=8, batch_size=8, lr=1e-3)


def pixel_auroc(weights: PromptWeights, held_out: SyntheticExamples) -> float:
    """Over all pixels of the held-out pictures, by the path that serves."""
    scorer = VisualScorer.load(MODEL, weights)
    text, mask = pad_text([encode_vocabularies(MODEL, weights, [WORDS])[WORDS]])
    maps: list[np.ndarray] = []
    truth: list[np.ndarray] = []
    for i in range(len(held_out)):
        example = held_out[i]
        scores = scorer.score(preprocess([example.pixels], scorer.mean, scorer.std), text, mask)
        maps.append(upsample(anomaly_grid(scores.type_grid)[:, None], SIDE_PX).flatten().numpy())
        truth.append(example.type_mask.ravel() > 0)
    return auroc(np.concatenate(maps), np.concatenate(truth))


def auroc(scores: Sequence[float] | np.ndarray, truth: np.ndarray) -> float:
    value = rank_images(scores, truth).auroc.value  # type: ignore[arg-type]  # an array is a sequence here
    assert value is not None
    return value


@pytest.mark.timeout(600)
def test_pixel_auroc_rises_from_chance_to_above_090(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    seen = SyntheticExamples.from_frames(good_surfaces(160, 0, SIDE_PX), WORDS.defect_types, 160, 0, defective=0.75)
    held_out = SyntheticExamples.from_frames(good_surfaces(32, 1, SIDE_PX), WORDS.defect_types, 32, 1)

    # One set of random weights ranks the pixels this way or that way round, as it happens; chance is their mean.
    untrained = [pixel_auroc(init_prompt_weights(MODEL, WORDS, seed)[0], held_out) for seed in range(8)]
    assert mean(untrained) == pytest.approx(0.5, abs=0.15), untrained
    assert max(untrained) < 0.9, untrained

    weights, manifest = train(MODEL, seen, TRAINING, tmp_path)
    assert manifest.trained
    assert pixel_auroc(weights, held_out) > 0.9
