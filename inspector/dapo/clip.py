"""Frozen CLIP models from open_clip: their dimensions, and the two towers, built apart."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import nn

from inspector.dapo.model_folder import CONFIG_FILE, bundled_models, model_folder, verify_folder
from inspector.dapo.spec import BUNDLED, LOCAL_FOLDER, RANDOM, ModelSpec
from inspector.domain.errors import BadInputError, InspectorError

TAPS = 4
CONV_TRUNK = "tf_efficientnet_lite0"
"""The one convolutional network, by timm's name: it types regions (``ConvTower``) and scores nothing."""

_CONV_PATCH_PX, _CONV_STRIDE_PX, _CONV_WIDTH = 16, 32, 40 + 112 + 320  # channels at strides of 8, 16 and 32 px
# What it was trained with; a folder says it of itself, and for a name alone open_clip would take CLIP's own.
_CONV_INPUT = {"mean": [0.5] * 3, "std": [0.5] * 3}
_CONFIGS = Path(__file__).parent / "model_configs"


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Dimensions of a CLIP model, read from its configuration without building it.

    ``taps`` are the layers (counted from 1) whose patch tokens are scored: the quarters of the visual depth. A tower
    that is ``convolutional`` counts as one layer, and takes no layer tokens.
    """

    image_size_px: int
    patch_size_px: int
    embed_dim: int
    visual_width: int
    visual_layers: int
    text_width: int
    text_layers: int
    context_length: int
    taps: tuple[int, ...]
    convolutional: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        side = self.image_size_px // self.patch_size_px
        return side, side


def model_shape(spec: ModelSpec) -> ModelShape:
    """Return the dimensions of the model ``spec`` names.

    Raises:
        BadInputError: the model is unknown, has no plain ViT or ``CONV_TRUNK`` beside a CLIP text tower, or cannot have
            that image size.
    """
    config = _model_config(spec)
    vision, text = config["vision_cfg"], config["text_cfg"]
    _check_architecture(spec.name, config)
    convolutional = _is_convolutional(vision)
    size_px, patch_px = spec.image_size_px or vision.get("image_size", 224), vision.get("patch_size", 16)
    width, depth = vision.get("width", 768), vision.get("layers", 12)
    taps: tuple[int, ...] = (1,)
    if convolutional:
        _check_size(spec.name, size_px, _CONV_STRIDE_PX)
        patch_px, width, depth = _CONV_PATCH_PX, _CONV_WIDTH, 1
    else:
        _check_size(spec.name, size_px, patch_px)
        taps = _quarters(spec.name, depth)
    return ModelShape(
        image_size_px=size_px,
        patch_size_px=patch_px,
        embed_dim=config["embed_dim"],
        visual_width=width,
        visual_layers=depth,
        text_width=text.get("width", 512),
        text_layers=text.get("layers", 12),
        context_length=text.get("context_length", 77),
        taps=taps,
        convolutional=convolutional,
    )


def _is_convolutional(vision: dict[str, Any]) -> bool:
    return vision.get("timm_model_name") == CONV_TRUNK


def _check_size(name: str, size_px: object, stride_px: object) -> None:
    if not isinstance(size_px, int) or not isinstance(stride_px, int) or size_px < stride_px or size_px % stride_px:
        raise BadInputError(
            f"a square image size that is a multiple of {name}'s {stride_px} px",
            f"{size_px} px",
            "set model.image_size_px to such a multiple",
        )


def _quarters(name: str, depth: int) -> tuple[int, ...]:
    if depth < TAPS:
        raise BadInputError(f"a visual tower of at least {TAPS} layers", f"{depth} in {name}", "choose a deeper model")
    return tuple(depth * quarter // TAPS for quarter in range(1, TAPS + 1))


def build_clip(spec: ModelSpec) -> nn.Module:
    """Build the whole model on the CPU in fp32, frozen, in evaluation mode. Never unpickles code.

    Raises:
        BadInputError: the model, its weights' name or the weights file is not what it should be.
        InspectorError: the weights cannot be downloaded.
    """
    convolutional = model_shape(spec).convolutional
    random, folder = spec.pretrained == RANDOM, model_folder(spec)
    if not random:
        _check_pretrained(spec, folder)
    try:
        with _open_clip_quiet(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # The wrong activation gives features that look right and are not.
            warnings.filterwarnings("error", message="QuickGELU mismatch")
            torch.manual_seed(spec.seed)
            model: nn.Module = open_clip.create_model(
                spec.name if folder is None else f"{LOCAL_FOLDER}{folder}",
                pretrained=spec.pretrained if folder is None and not random else None,
                load_weights=not random,
                require_pretrained=not random,
                force_image_size=spec.image_size_px,
                force_preprocess_cfg=_CONV_INPUT if convolutional and folder is None else None,
                weights_only=True,
            )
    except UserWarning as error:
        raise BadInputError(
            f"a model with the activation that {spec.pretrained!r} was trained with",
            f"{spec.name} ({error})",
            f"set model.name to the other of NAME and NAME-quickgelu, here from {spec.name}",
        ) from error
    except Exception as error:  # open_clip raises whatever its readers, torch and the network raise
        if "download" in str(error).lower():
            raise InspectorError(
                f"the weights {spec.pretrained!r} of {spec.name} from their public home",
                f"{_first_line(error)}",
                "check the network, or set model.pretrained to a weights file or to random",
            ) from error
        raise BadInputError(
            f"weights of {spec.name} in {spec.pretrained!r}",
            f"{type(error).__name__}: {_first_line(error)}",
            "use a safetensors or weights-only checkpoint made for this model",
        ) from error
    return model.eval().requires_grad_(False)


@cache
def register_models() -> None:
    """Make this package's own configurations (``inspector-s``) known to open_clip."""
    open_clip.add_model_config(_CONFIGS)


def _model_config(spec: ModelSpec) -> dict[str, Any]:
    register_models()
    folder = model_folder(spec)
    if folder is not None:
        verify_folder(folder, [CONFIG_FILE])
    name = spec.name if folder is None else f"{LOCAL_FOLDER}{folder}"
    try:
        # Only folders and listed names: a hub's name, perhaps out of a stranger's file, would go to the network.
        known = name.startswith(LOCAL_FOLDER) or _built_in(name) in open_clip.list_models()
        config = open_clip.get_model_config(_built_in(name)) if known else None
    except (OSError, ValueError, json.JSONDecodeError) as error:
        raise BadInputError(
            "a model that open_clip can read", f"{name!r} ({_first_line(error)})", "check model.name"
        ) from error
    if config is None:
        raise BadInputError(
            "the name of an open_clip model, or local-dir:PATH",
            f"{name!r}",
            "choose one of `python -c 'import open_clip; print(open_clip.list_models())'`, or inspector-s",
        )
    if not {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys():
        raise BadInputError(
            "embed_dim, vision_cfg and text_cfg in the model's configuration",
            f"{sorted(config)} in {name!r}",
            "check the folder's open_clip_config.json",
        )
    return dict(config)


def _built_in(name: str) -> str:
    """Return the name as open_clip lists it; like open_clip, take a slash for a dash ("ViT-B/16")."""
    return name if name.startswith(LOCAL_FOLDER) else name.replace("/", "-")


def _check_architecture(name: str, config: dict[str, Any]) -> None:
    """Refuse what is neither open_clip's own ViT nor ``CONV_TRUNK`` beside open_clip's own causal text tower."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    reasons = {
        "its visual tower comes from timm": vision.get("timm_model_name") and not _is_convolutional(vision),
        "its visual tower is a ResNet": isinstance(vision.get("layers"), list | tuple),
        "it pools by attention": vision.get("attentional_pool"),
        "it has no pooled image feature": vision.get("pool_type", "tok") not in ("tok", "avg"),
        "its text tower comes from Hugging Face": text.get("hf_model_name") or text.get("hf_tokenizer_name"),
        "its text tower has no causal mask": text.get("no_causal_mask") or text.get("embed_cls"),
        "its text is not pooled at the end token": text.get("pool_type", "argmax") not in ("argmax", "eos"),
    }
    for reason, holds in reasons.items():
        if holds:
            raise BadInputError(
                "a CLIP model with open_clip's own vision transformer and causal text transformer",
                f"{name!r}: {reason}",
                "choose a plain CLIP ViT such as inspector-s, ViT-B-16 or ViT-L-14-336-quickgelu",
            )


def _check_pretrained(spec: ModelSpec, folder: Path | None) -> None:
    if folder is not None:
        verify_folder(folder)
        return
    known = open_clip.list_pretrained_tags_by_model(_built_in(spec.name))
    if spec.name in bundled_models():
        known = [BUNDLED, *known]
    if spec.pretrained.lower().replace("-", "_") not in known and not Path(spec.pretrained).is_file():
        raise BadInputError(
            f"pretrained weights of {spec.name}: {', '.join([RANDOM, *known])}, or a file",
            f"{spec.pretrained!r}",
            "set model.pretrained to one of them",
        )


@contextmanager
def _open_clip_quiet() -> Iterator[None]:
    """Keep open_clip off the root logger.

    It logs each step there by ``logging.info`` and the like, which also installs a handler on first use.
    """
    package = str(Path(open_clip.__file__).parent)

    def from_elsewhere(record: logging.LogRecord) -> bool:
        return not record.pathname.startswith(package)

    root, placeholder = logging.getLogger(), logging.NullHandler()
    root.addHandler(placeholder)
    root.addFilter(from_elsewhere)
    try:
        yield
    finally:
        root.removeFilter(from_elsewhere)
        root.removeHandler(placeholder)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
