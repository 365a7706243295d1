"""How a training run is made, and what it tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from inspector.dapo.prompt_weights import LAYER_TOKENS
from inspector.dapo.spec import Precision
from inspector.domain.checks import check_number
from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.scoring import ImageScore
from inspector.domain.weights import TextMode
from inspector.pipeline.calibration import DEFAULT_FALSE_ALARM_RATE

MAX_SEED = 2**63 - 1  # torch takes no more


@dataclass(frozen=True, slots=True)
class Optimisation:
    """AdamW's options, and over about 1 / (1 - ``average_decay``) steps the mean of the weights is taken."""

    lr: float
    betas: tuple[float, float]
    weight_decay: float
    average_decay: float


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What decides the result of a run, beside the model and the examples; defaults as published.

    ``batch_size`` is over all processes. ``precision`` is that of the visual tower; text and losses are fp32.
    ``layer_tokens`` 0 tunes without tokens in the layers (no progressive tuning). Thresholds of the weights let
    ``false_alarm_rate`` of the good training images alarm, by image scores of the kind ``image_score``.

    Raises:
        BadInputError: a number out of range.
    """

    epochs: int = 5
    batch_size: int = 8
    lr: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.999)
    seed: int = 0
    text_mode: TextMode = "causal"
    precision: Precision = "fp32"
    layer_tokens: int = LAYER_TOKENS
    false_alarm_rate: float = DEFAULT_FALSE_ALARM_RATE
    image_score: ImageScore = "cls"

    def __post_init__(self) -> None:
        check_number("epochs", self.epochs, 1)
        check_number("batch_size", self.batch_size, 1)
        check_number("lr", self.lr, 0, 10, low_excluded=True)
        for beta in self.betas:
            check_number("beta", beta, 0, 1)
        check_number("seed", self.seed, 0, MAX_SEED)
        check_number("layer_tokens", self.layer_tokens, 0, 1000)
        if max(self.betas) >= 1:
            raise BadInputError("betas below 1", str(self.betas), "use the published (0.5, 0.999)")


@dataclass(frozen=True, slots=True)
class Effort:
    """What a run may use; none of it changes the result beyond rounding.

    ``images_at_once``: images of a batch whose activations are in memory together, None all of them.
    ``cache_bytes``: disk for embedded images; the rest is read anew in each epoch. ``checkpoint_every_s``: a
    checkpoint is written after the first step that ends so long after the last, and after each epoch.
    """

    images_at_once: int | None = None
    cache_bytes: int = 8 * 2**30
    checkpoint_every_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step: ``epoch`` (from 1), ``step`` of ``steps`` (from 1, over all epochs), losses of its batch.

    ``focal`` and ``dice`` are sums over the tapped layers; total = classification + 4 (focal + dice).
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    total: float
    classification: float
    focal: float
    dice: float
    images_per_s: float
    seconds_left: float


class TrainingStoppedError(InspectorError):
    """The run was told to stop and has kept all it did; the same command goes on from there."""
