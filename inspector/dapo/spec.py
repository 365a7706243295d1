"""Which frozen CLIP model is used, and how. Free of torch, so that settings and commands import it at no cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["fp32", "bf16"]
ServingPrecision = Literal["fp32", "bf16", "int8"]
Engine = Literal["torch", "onnx"]

RANDOM = "random"
BUNDLED = "bundled"
LOCAL_FOLDER = "local-dir:"
REGION_TYPES_MODEL = "inspector-s-types"
"""The architecture of what looks closer at a region; the bundled one is of it."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A frozen CLIP backbone.

    ``name`` is an open_clip architecture (``inspector-s``, ``ViT-B-16``, ``ViT-L-14-336-quickgelu``...) or
    ``local-dir:PATH``, a folder in open_clip's own schema. ``pretrained`` is open_clip's tag (``openai``), a weights
    file, ``bundled``: what ships in this package, or ``random``: initialised from ``seed``, the same numbers in every
    process; for ``local-dir:`` any value but ``random`` takes the folder's weights. ``image_size_px`` other than the
    model's own interpolates the position embedding. ``precision`` is that of the visual tower while scoring; text
    features are always made in fp32. ``engine`` runs the tower's blocks: torch (fp32, bf16), or ONNX Runtime on the CPU
    (fp32, int8); ``fastest`` chooses both.
    """

    name: str = "inspector-s"
    pretrained: str = RANDOM
    image_size_px: int | None = None
    seed: int = 0
    precision: ServingPrecision = "fp32"
    device: str = "cpu"
    engine: Engine = "torch"
