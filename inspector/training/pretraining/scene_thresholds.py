"""Thresholds of a model that was just pretrained, from flawless rendered scenes that no step has seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch import Tensor

from inspector.dapo.clip import model_shape
from inspector.dapo.scorer import VisualScorer, anomaly_by_words, anomaly_grid, pad_text, upsample
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text import encode_vocabulary
from inspector.dapo.text_tower import TextTower
from inspector.dapo.visual_tower import VisualTower
from inspector.domain.product import ProductSettings, Vocabulary
from inspector.domain.scoring import BY_TUNED_WORDS, ImageScore, ScoringSettings
from inspector.training.pretraining.run import Pretrained
from inspector.training.thresholds import measured
from inspector.vision.detail_net import DetailNet
from inspector.vision.image_score import zero_shot_score
from inspector.vision.preprocess import preprocess

_BATCH = 16


@torch.inference_mode()
def with_scene_thresholds(
    made: Pretrained,
    spec: ModelSpec,
    good: Sequence[NDArray[np.uint8]],
    image_score: ImageScore,
    false_alarm_rate: float,
    step: Callable[[int, int], None],
) -> Pretrained:
    """Return ``made`` with the zero-shot thresholds that good scenes exceed at the wanted rate.

    Scenes are of many surfaces and cameras, none of which a step has seen, so that the thresholds are those of a part
    that nobody has shown the model; one camera's own good frames allow much lower ones. Scored by the default
    vocabulary; image scores of ``BY_TUNED_WORDS`` by all that the model was trained on.

    Args:
        made: on the CPU.
        spec: what it was made as; its size is that of ``good``.
        good: RGB uint8 [S, S, 3] each.
        image_score: the kind of image score that serves the model.
        false_alarm_rate: 0..1, both excluded.
        step: hears how many scenes are scored, of how many.

    Raises:
        BadInputError: fewer than 8 scenes.
    """
    shape = model_shape(spec)
    visual = VisualTower(made.clip.visual, shape).eval()
    text = getattr(made.clip, "text", made.clip)
    tower = TextTower(text, open_clip.get_tokenizer(spec.name), shape.context_length).eval()
    product = ProductSettings()
    words = encode_vocabulary(tower, made.prompts, product.vocabulary, "causal").float()
    trained_on = Vocabulary(made.manifest.vocabulary)
    overall_words = encode_vocabulary(tower, made.prompts, trained_on, "causal").float()
    scorer = VisualScorer(visual, made.prompts, replace(spec, device="cpu", precision="fp32", engine="torch"))
    details = DetailNet.load(scorer.mean, scorer.std, scorer.device)
    scoring = ScoringSettings(image_score=image_score)
    image_scores, peaks = [], []
    for start in range(0, len(good), _BATCH):
        images = preprocess(good[start : start + _BATCH], scorer.mean, scorer.std, scorer.device)
        found = scorer.score(images, *pad_text([words] * len(images)))
        own = anomaly_grid(found.type_grid)
        asked = anomaly_by_words(found.adapted, overall_words, shape.grid) if image_score in BY_TUNED_WORDS else own
        maps, overall = (upsample(grid[:, None], shape.image_size_px)[:, 0].numpy() for grid in (own, asked))
        looks: Sequence[tuple[Tensor, ...]] = [()] * len(images)
        if image_score == "contrast":
            looks = list(zip(*details.looks(images), strict=True))
        of_each = zip(found.image_scores.tolist(), overall, looks, strict=True)
        image_scores += [zero_shot_score(cls, each, product, scoring, seen) for cls, each, seen in of_each]
        peaks += maps.max(axis=(1, 2)).tolist()
        step(len(image_scores), len(good))
    manifest = replace(made.manifest, image_score=image_score)
    return replace(made, manifest=measured(manifest, image_scores, peaks, false_alarm_rate))
