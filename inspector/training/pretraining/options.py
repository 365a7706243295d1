"""How a model is pretrained, and what the run tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inspector.domain.checks import check_number
from inspector.training.losses import SEGMENTATION_WEIGHT
from inspector.training.options import MAX_SEED, Optimisation


@dataclass(frozen=True, slots=True)
class PretrainingOptions:
    """What decides the result of a run, beside the model, the photographs and the teacher.

    A step sees ``pairs_a_step`` pairs of pictures of ``crop_px``, of each picture ``seen_share`` of its patches, drawn
    anew: more pictures in the same time (Li et al., "Scaling Language-Image Pre-training via Masking", CVPR 2023). The
    last ``full_share`` of the run sees them whole and at the model's own size. The learning rate rises to ``lr`` over
    ``warmup_steps``, stays, and falls to nothing over the last ``decay_share`` of the run: a run that has not begun to
    fall can be made longer. Weights of the losses: see ``losses.py``. ``average_decay``: the model that comes out is
    the mean of the weights over about 1 / (1 - decay) steps. ``fresh_text``: of the weights that the run begins with
    only the visual tower counts; it stands still while the rate rises, lest it learns from a text side that knows
    nothing, and then the rate rises once more.

    Raises:
        BadInputError: a number out of range.
    """

    pairs_a_step: int = 8
    crop_px: int = 192
    seen_share: float = 0.5
    full_share: float = 0.1
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.05
    warmup_steps: int = 300
    decay_share: float = 0.25
    average_decay: float = 0.998
    texture_weight: float = 2.0
    pair_weight: float = 2.0
    caption_weight: float = 0.2
    defect_weight: float = 0.4
    type_weight: float = 2.0
    peak_weight: float = 0.5
    spread_weight: float = 10.0
    fresh_text: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("pairs_a_step", self.pairs_a_step, 1)
        check_number("crop_px", self.crop_px, 64)
        check_number("lr", self.lr, 0, 1, low_excluded=True)
        check_number("warmup_steps", self.warmup_steps, 1)
        check_number("seen_share", self.seen_share, 0, 1, low_excluded=True)
        check_number("seed", self.seed, 0, MAX_SEED)
        check_number("weight_decay", self.weight_decay, 0)
        for name in ("full_share", "decay_share", "average_decay"):
            check_number(name, getattr(self, name), 0, 1)
        for name in ("texture", "pair", "caption", "defect", "type", "peak", "spread"):
            check_number(f"{name}_weight", getattr(self, f"{name}_weight"), 0)

    @property
    def loss_weights(self) -> dict[str, float]:
        """Return the weight of each part of ``objective.LOSSES`` in the total."""
        maps = self.defect_weight * SEGMENTATION_WEIGHT
        return {
            "classification": self.defect_weight,
            "focal": maps,
            "dice": maps,
            "type": self.type_weight,
            "peak": self.peak_weight,
            "spread": self.spread_weight,
            "pair": self.pair_weight,
            "texture": self.texture_weight,
            "caption": self.caption_weight,
        }

    @property
    def optimisation(self) -> Optimisation:
        """What the optimiser is told."""
        return Optimisation(self.lr, self.betas, self.weight_decay, self.average_decay)

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of ``step`` (from 0) of ``steps``."""
        again = self.warmup_steps if self.fresh_text and not self.holds_visual(step) else 0
        rising = min(1.0, (step - again + 1) / self.warmup_steps)
        falling = min(1.0, (steps - step) / max(1.0, self.decay_share * steps))
        return self.lr * rising * falling

    def holds_visual(self, step: int) -> bool:
        """Return whether in ``step`` (from 0) the visual tower stands still."""
        return self.fresh_text and step < self.warmup_steps

    def full_size(self, step: int, steps: int) -> bool:
        """Return whether ``step`` (from 0) of ``steps`` sees pictures at the model's own size."""
        return step >= steps * (1 - self.full_share)


@dataclass(frozen=True, slots=True)
class PretrainingStep:
    """One optimiser step: ``step`` of ``steps`` (from 1), mean losses of its batch by name, as ``objective.LOSSES``.

    ``images_per_s``: the pace of all processes together since the run began or was resumed, validation included.
    """

    step: int
    steps: int
    losses: Mapping[str, float]
    images_per_s: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class PretrainingListener:
    """Whom a run talks to: after each step, after each validation; ``stop`` is asked between any two steps."""

    step: Callable[[PretrainingStep], None] = lambda _step: None
    validated: Callable[[int, Mapping[str, float]], None] = lambda _step, _metrics: None
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class PretrainingEffort:
    """What a run may use; none of it changes what is learnt.

    ``render_processes`` paint ahead of each training process; 0 paints in between, which is best where all cores train.
    ``checkpoint_every_s`` and ``validate_every_s``: seconds between two of them, looked at after each step.
    """

    render_processes: int = 0
    checkpoint_every_s: float = 300.0
    validate_every_s: float = 900.0
