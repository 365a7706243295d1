"""Models and vocabularies that the DAPO tests share."""

from __future__ import annotations

from pathlib import Path

import open_clip
import torch
from torch import nn

from inspector.dapo.clip import model_shape
from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.spec import ModelSpec
from inspector.domain.product import Vocabulary

# Four layers of width 32 with QuickGELU: everything the method does, in milliseconds.
open_clip.add_model_config(Path(__file__).parent / "model_configs")

TINY = ModelSpec("dapo-tiny")
PLATE = Vocabulary(("scratch", "dent"))
BOARD = Vocabulary(("bent lead", "hole", "cold solder joint", "stain", "missing part"), "printed board")


def lively_weights(spec: ModelSpec, contexts: int, seed: int = 3) -> PromptWeights:
    """Weights far from their initial values, so that a mistake in any of them moves the scores."""
    weights = PromptWeights(model_shape(spec), contexts, context_tokens=5, text_layer_tokens=4, visual_layer_tokens=3)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in weights.named_parameters():
            if not name.startswith("adapters"):
                nn.init.normal_(parameter, std=0.5, generator=generator)
            else:
                nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5, generator=generator)
    return weights.requires_grad_(False)
