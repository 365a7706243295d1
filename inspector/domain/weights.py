"""Manifest of a prompt-weights file: what it was made for, and how to tell that it is whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inspector.domain.checks import check_number
from inspector.domain.product import Vocabulary
from inspector.domain.scoring import ImageScore

WEIGHTS_SCHEMA = "inspection.weights/1"

TextMode = Literal["causal", "bidirectional"]
"""Whether the text tower keeps CLIP's causal mask."""


@dataclass(frozen=True, slots=True)
class WeightsManifest:
    """Stands in the safetensors header. ``version`` is the content hash (SHA-256 hex of tensors and manifest).

    ``backbone`` identifies the frozen weights beside which these were made, so that ``version`` changes with them.
    ``vocabulary`` are the defect types seen in training, ``trained`` is false for freshly initialised weights,
    whose text side means nothing yet. ``tuned_on`` names the data sets of that training and of those before it, on
    which no measurement is an honest one.

    ``image_score`` is the kind of image score that serves these weights best. ``image`` and ``pixel`` thresholds are
    raw zero-shot scores to use where a camera has no calibration of its own, and with the scales above 0 the score maps
    (``ScoreMap``) that send them to 0.5; a scale of 0: the raw score is the score.

    Raises:
        BadInputError: a threshold or a scale out of 0..1.
    """

    model: str
    pretrained: str
    backbone: str
    image_size_px: int
    contexts: int
    context_tokens: int
    text_layer_tokens: int
    visual_layer_tokens: int
    taps: tuple[int, ...]
    vocabulary: tuple[str, ...]
    text_mode: TextMode = "causal"
    trained: bool = False
    tuned_on: tuple[str, ...] = ()
    image_threshold: float = 0.5
    pixel_threshold: float = 0.5
    image_score: ImageScore = "cls"
    image_scale: float = 0.0
    pixel_scale: float = 0.0
    created_at: str = ""
    version: str = ""
    schema: str = WEIGHTS_SCHEMA

    @property
    def tuned_words(self) -> Vocabulary | None:
        """The words that these weights were tuned with; None: they never were."""
        return Vocabulary(self.vocabulary) if self.trained and self.vocabulary else None

    def __post_init__(self) -> None:
        check_number("image_threshold", self.image_threshold, 0, 1)
        check_number("pixel_threshold", self.pixel_threshold, 0, 1)
        check_number("image_scale", self.image_scale, 0, 1)
        check_number("pixel_scale", self.pixel_scale, 0, 1)
