"""What a trained model's folder says of it: its architecture in open_clip's own words, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import open_clip
import torch
from torch import nn

from inspector import __version__
from inspector.apps.bench.machine import describe
from inspector.dapo.clip import model_shape, register_models
from inspector.dapo.spec import ModelSpec
from inspector.rendering.scenes import Photographs
from inspector.training.processes import Processes


def open_clip_config(spec: ModelSpec, clip: nn.Module) -> dict[str, dict[str, object]]:
    """Return the content of ``open_clip_config.json`` for a model made as ``spec`` says. Raises as ``model_shape``."""
    register_models()
    visual: Any = clip.visual
    model = dict(open_clip.get_model_config(spec.name) or {})
    # The size it was trained at, which the settings may have chosen.
    model["vision_cfg"] = {**model["vision_cfg"], "image_size": model_shape(spec).image_size_px}
    return {
        "model_cfg": model,
        "preprocess_cfg": {"mean": list(visual.image_mean), "std": list(visual.image_std)},
    }


def run_card(command: str, facts: Mapping[str, str], spec: ModelSpec, processes: Processes) -> str:
    """Return the card of a model that a command just made, in Markdown: its own ``facts``, then where it was made."""
    machine = describe(torch.__version__, torch.get_num_threads(), 0.0)
    device = torch.cuda.get_device_name(spec.device) if spec.device.startswith("cuda") else "no GPU"
    said = {
        **facts,
        "precision": spec.precision,
        "hardware": f"{machine.cpu}, {machine.cores} cores, {device}, processes: {processes.count}",
        "made by": f"inspector {__version__}, torch {torch.__version__}",
    }
    lines = "\n".join(f"- {name}: {value}" for name, value in said.items())
    return f"# A model by `inspector {command}`\n\n{lines}\n"


def counted(photographs: Photographs | None) -> str:
    """Return how a card tells of photographs that a part of was held out."""
    return f"{len(photographs)}, and a tenth held out" if photographs is not None else "none"
