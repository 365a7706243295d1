"""What a trained model's folder says of its architecture, in open_clip's own words."""

from __future__ import annotations

from typing import Any

import open_clip
from torch import nn

from inspector.dapo.clip import model_shape, register_models
from inspector.dapo.spec import ModelSpec


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
