"""A tiny model with patches of 16 px, short runs of it and what they leave, for the tests of pretraining."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import open_clip
import torch

from inspector.dapo.spec import ModelSpec
from inspector.training.pretraining.options import (
    PretrainingEffort,
    PretrainingListener,
    PretrainingOptions,
    PretrainingStep,
)
from inspector.training.pretraining.run import Material, Pretrained, pretrain
from inspector.training.processes import Processes

# Four layers of width 32 on 6 x 6 patches.
open_clip.add_model_config(Path(__file__).parent / "model_configs")

TINY = ModelSpec("pretrain-tiny")
SHORT = PretrainingOptions(pairs_a_step=2, crop_px=64, full_share=0.25, warmup_steps=2, seed=3)
STEPS = 4
RENDERED = Material(None, "texture")
SAVING = PretrainingEffort(checkpoint_every_s=0)


def run(
    folder: Path,
    steps: int = STEPS,
    listener: PretrainingListener | None = None,
    *,
    options: PretrainingOptions = SHORT,
    material: Material = RENDERED,
    effort: PretrainingEffort = SAVING,
    spec: ModelSpec = TINY,
) -> Pretrained:
    """Pretrain in this process."""
    return pretrain(spec, material, options, steps, folder, listener or PretrainingListener(), effort, Processes())


def stop_after(steps: int) -> PretrainingListener:
    """Ask to stop while step ``steps`` is made."""
    heard: list[PretrainingStep] = []
    return PretrainingListener(step=heard.append, stop=lambda: len(heard) >= steps - 1)


def tensors(made: Pretrained) -> dict[str, torch.Tensor]:
    """Return all weights of a model and its prompts by name."""
    return {**made.clip.state_dict(), **{f"prompts.{name}": p for name, p in made.prompts.state_dict().items()}}


def same(one: Pretrained, other: Pretrained) -> bool:
    """Tell whether two models are equal to the bit."""
    mine, theirs = tensors(one), tensors(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def constant(seed: int) -> PretrainingOptions:
    """Return options whose rate neither falls nor sees full pictures: a run with them can be made longer."""
    return replace(SHORT, decay_share=0.0, full_share=0.0, seed=seed)
