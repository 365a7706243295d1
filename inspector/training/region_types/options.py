"""How a model that types regions is trained, and what the run tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inspector.domain.checks import check_number
from inspector.training.options import MAX_SEED, Optimisation


@dataclass(frozen=True, slots=True)
class TypingOptions:
    """What decides the result of a run, beside the model, the photographs and what it begins with.

    Scenes are painted ``block_scenes`` at a time, and ``block_steps`` steps look closer at their regions,
    ``looks_a_step`` at each step: ``normal_share`` of them where nothing is wrong, the others at all types alike. Each
    look cuts out, turns and lights its region anew. The learning rate rises to ``lr`` over ``warmup_steps``, stays, and
    falls to nothing over the last ``decay_share`` of the run.
    ``smoothing`` of the labels; ``spread_weight`` of what keeps rows of different types apart;
    ``average_decay``: as in ``PretrainingOptions``.

    Raises:
        BadInputError: a number out of range.
    """

    looks_a_step: int = 32
    block_scenes: int = 512
    block_steps: int = 128
    lr: float = 4e-4
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.05
    warmup_steps: int = 200
    decay_share: float = 0.35
    average_decay: float = 0.995
    smoothing: float = 0.05
    normal_share: float = 0.3
    spread_weight: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("looks_a_step", "block_scenes", "block_steps", "warmup_steps"):
            check_number(name, getattr(self, name), 1)
        check_number("lr", self.lr, 0, 1, low_excluded=True)
        check_number("seed", self.seed, 0, MAX_SEED)
        for name in ("weight_decay", "spread_weight"):
            check_number(name, getattr(self, name), 0)
        for name in ("decay_share", "average_decay", "smoothing", "normal_share"):
            check_number(name, getattr(self, name), 0, 1)

    @property
    def optimisation(self) -> Optimisation:
        """What the optimiser is told."""
        return Optimisation(self.lr, self.betas, self.weight_decay, self.average_decay)

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of ``step`` (from 0) of ``steps``."""
        rising = min(1.0, (step + 1) / self.warmup_steps)
        falling = min(1.0, (steps - step) / max(1.0, self.decay_share * steps))
        return self.lr * rising * falling


@dataclass(frozen=True, slots=True)
class TypingStep:
    """One optimiser step: ``step`` of ``steps`` (from 1), mean loss of its looks, and the pace of all processes."""

    step: int
    steps: int
    loss: float
    looks_per_s: float


@dataclass(frozen=True, slots=True)
class TypingListener:
    """Whom a run talks to: ``painted`` says how many scenes of a block are there, and of how many.

    After each step, after each validation; ``stop`` is asked between any two steps.
    """

    step: Callable[[TypingStep], None] = lambda _step: None
    validated: Callable[[int, Mapping[str, float]], None] = lambda _step, _metrics: None
    painted: Callable[[int, int], None] = lambda _done, _of: None
    stop: Callable[[], bool] = lambda: False
