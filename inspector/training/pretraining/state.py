"""All that a step changes and a checkpoint keeps: the learner, its running average, the optimiser."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from inspector.domain.errors import InspectorError
from inspector.training.checkpoint import Position, load_checkpoint, save_checkpoint
from inspector.training.options import Optimisation
from inspector.training.pretraining.clip_learner import ClipLearner
from inspector.training.processes import Processes

_Learner = TypeVar("_Learner", bound=ClipLearner)
_LARGEST_GRADIENT = 1.0  # norm over all parameters; a longer one is shortened to it


class TrainingState(Generic[_Learner]):
    """A learner that is trained, and the mean of its last weights, which is the model that comes out."""

    def __init__(self, learner: _Learner, optimisation: Optimisation) -> None:
        """Begin at step 0 on the learner's device."""
        self.learner = learner
        self.average = deepcopy(learner).requires_grad_(False)
        self._average_decay = optimisation.average_decay
        self._all = nn.ModuleDict({"learner": self.learner, "average": self.average})
        pulled, free = learner.decayed()
        groups = [{"params": pulled, "weight_decay": optimisation.weight_decay}, {"params": free, "weight_decay": 0.0}]
        self._optimiser = AdamW(groups, lr=optimisation.lr, betas=optimisation.betas, fused=True)

    def load(self, path: Path, run: str) -> int:
        """Return how many steps are done, 0 where there is no checkpoint. Raises as ``load_checkpoint``."""
        return load_checkpoint(path, self._all, self._optimiser, run)

    def save(self, path: Path, run: str, step: int) -> None:
        """Write a checkpoint after ``step`` steps, whole or not at all. Raises OSError."""
        save_checkpoint(path, self._all, self._optimiser, Position(run, step))

    def forget_gradients(self) -> None:
        """Put zeros where the next backward pass adds: a parameter that no loss reaches is decayed all the same."""
        for parameter in self.learner.parameters():
            parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None

    def gradients(self) -> Tensor:
        """Return the gradients of all parameters in a row, float32 [N]."""
        found = [(p, p.grad) for p in self.learner.parameters()]
        return torch.cat([(torch.zeros_like(p) if grad is None else grad).flatten() for p, grad in found])

    def apply(self, gradients: Tensor, step: int, rate: float) -> None:
        """Make one optimiser step.

        Args:
            gradients: as ``gradients`` returns them, summed over all processes.
            step: its number, from 0.
            rate: learning rate.
        """
        parameters = list(self.learner.parameters())
        parts = torch.split(gradients, [p.numel() for p in parameters])
        for parameter, gradient in zip(parameters, parts, strict=True):
            # What is held has no gradient: no decay, and no step that counts for its moments.
            parameter.grad = gradient.view_as(parameter) if parameter.requires_grad else None
        nn.utils.clip_grad_norm_(parameters, _LARGEST_GRADIENT)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        self._follow(step)

    def step(self, told: Tensor, processes: Processes, step: int, rate: float) -> list[float]:
        """Make one optimiser step from the gradients of all processes; return the sums of what each ``told``.

        Args:
            told: float32 [N], this process's losses, of which the first is the one that was trained on, and whatever
                else all are to know.
            processes: all of them call it, in the same order.
            step: its number, from 0.
            rate: learning rate.

        Raises:
            InspectorError: something is not finite; the weights are untouched.
        """
        flat = processes.sum(torch.cat([self.gradients(), told]))
        sums: list[float] = flat[-len(told) :].tolist()
        # One number of millions that is not finite shows in their sum, at a fraction of the cost of asking each.
        if not math.isfinite(sum(sums)) or not math.isfinite(float(flat.sum())):
            raise InspectorError("a finite loss", f"{sums[0]:g} at step {step + 1}", "lower --lr, and add --restart")
        self.apply(flat[: -len(told)], step, rate)
        return sums

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        """Let the average follow; early on it forgets fast, so that it does not drag the first weights along."""
        kept = min(self._average_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.learner.parameters()), 1 - kept)
