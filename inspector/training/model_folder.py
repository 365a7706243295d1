"""Writes a trained model as a folder that serves: fp16 weights, configuration, prompt weights, checksums, card.

python -m inspector.training.model_folder SOURCE PROMPTS TARGET    # SOURCE's model with other prompts becomes TARGET
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from inspector.dapo.backbone import content_id
from inspector.dapo.model_folder import (
    CARD_FILE,
    CONFIG_FILE,
    MODEL_FILE,
    PROMPTS_FILE,
    SUMS_FILE,
    check_replaceable,
    sums_text,
    verify_folder,
)
from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.spec import BUNDLED, LOCAL_FOLDER, ModelSpec
from inspector.dapo.weights_file import load_weights, weights_bytes
from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.weights import WeightsManifest
from inspector.files import write_folder_whole, write_whole

FILES_HEADING = "## Files"
# Interpolated to another image size in the type they are stored in, and small.
_KEPT_IN_FULL = "positional_embedding"


def write_model_folder(
    folder: Path,
    clip: nn.Module,
    config: Mapping[str, Mapping[str, object]],
    prompts: tuple[PromptWeights, WeightsManifest],
    card: str,
    *,
    name: str = "inspector-s",
) -> WeightsManifest:
    """Write a whole model, or leave the folder as it was; return the manifest of its prompt weights.

    Args:
        folder: made, or replaced where it holds nothing but a model's files.
        clip: the model as ``open_clip.create_model`` makes one.
        config: content of ``open_clip_config.json``, with ``model_cfg`` and ``preprocess_cfg``.
        prompts: weights tuned beside ``clip``. They are stored as belonging to the bundled ``name`` with this content.
        card: the model card in Markdown; a table of the files is put at its end.
        name: what ``model.name`` will be.

    Raises:
        BadInputError: the folder holds other things, ``config`` does not belong to ``clip``, or a weight is not a
            number that fp16 has.
        OSError: the disk or its rights.
    """
    check_replaceable(folder)
    _check_config(config, clip)
    content = {CONFIG_FILE: json.dumps(config, indent=2).encode() + b"\n", MODEL_FILE: _half_precision(clip)}
    return _write(folder, content, prompts, card, name)


def copy_model_folder(source: Path, prompts: Path, target: Path) -> WeightsManifest:
    """Write a model again with prompt weights tuned beside it, under the name it has; return their manifest.

    Raises:
        BadInputError: ``source`` is damaged, the weights belong to another model, or ``target`` holds other things.
        OSError: a file cannot be read, the disk or its rights.
    """
    check_replaceable(target)
    verify_folder(source, (CONFIG_FILE, MODEL_FILE, PROMPTS_FILE))
    spec = ModelSpec(f"{LOCAL_FOLDER}{source}", BUNDLED)
    name = load_weights(source / PROMPTS_FILE, spec)[1].model
    tuned = load_weights(prompts, spec)
    content = {file: (source / file).read_bytes() for file in (CONFIG_FILE, MODEL_FILE)}
    return _write(target, content, tuned, (source / CARD_FILE).read_text(encoding="utf-8"), name)


def _write(
    folder: Path,
    model: Mapping[str, bytes],
    prompts: tuple[PromptWeights, WeightsManifest],
    card: str,
    name: str,
) -> WeightsManifest:
    backbone = content_id(hashlib.sha256(model[file]).digest() for file in sorted(model))
    weights, manifest = prompts
    data, sealed = weights_bytes(weights, replace(manifest, model=name, pretrained=BUNDLED, backbone=backbone))
    content = {**model, PROMPTS_FILE: data}
    files = {**content, SUMS_FILE: sums_text(_digests(content)).encode(), CARD_FILE: _with_files(card, content)}
    write_folder_whole(folder, files)
    return sealed


def write_card(folder: Path, card: str) -> None:
    """Replace the model card of a folder; what the model does is not touched. Raises OSError as ``write_whole``."""
    content = {file: (folder / file).read_bytes() for file in (CONFIG_FILE, MODEL_FILE, PROMPTS_FILE)}
    write_whole(folder / CARD_FILE, _with_files(card, content))


def _check_config(config: Mapping[str, Mapping[str, object]], clip: nn.Module) -> None:
    if not {"model_cfg", "preprocess_cfg"} <= config.keys():
        raise BadInputError("model_cfg and preprocess_cfg", str(sorted(config)), "give open_clip's own configuration")
    visual: Any = clip.visual
    said = config["preprocess_cfg"]
    for key, used in (("mean", visual.image_mean), ("std", visual.image_std)):
        if json.dumps(said.get(key)) != json.dumps(list(used)):
            raise BadInputError(
                f"the {key} that the model was trained with, {list(used)}",
                f"{said.get(key)} in preprocess_cfg",
                "write the one that was used",
            )


def _half_precision(clip: nn.Module) -> bytes:
    tensors: dict[str, Tensor] = {}
    for name, tensor in clip.state_dict().items():
        kept = name.endswith(_KEPT_IN_FULL) or not tensor.is_floating_point()
        stored = tensor.detach().cpu().to(tensor.dtype if kept else torch.float16)
        if not torch.isfinite(stored).all():
            raise BadInputError("weights that fp16 can hold", f"NaN or infinity in {name}", "look at the training run")
        # A copy, as safetensors refuses two tensors that share memory.
        tensors[name] = stored.contiguous().clone()
    return to_safetensors(tensors, {"format": "pt"})


def _digests(content: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}


def _with_files(card: str, content: Mapping[str, bytes]) -> bytes:
    lines = ["| file | bytes | sha256 |", "|---|---|---|"]
    lines += [f"| `{name}` | {len(content[name])} | `{digest}` |" for name, digest in sorted(_digests(content).items())]
    body = card.partition(f"\n{FILES_HEADING}\n")[0].rstrip()
    return "\n".join([body, "", FILES_HEADING, "", *lines, ""]).encode()


def main() -> None:
    """Put a model together."""
    if len(sys.argv) != 4:
        sys.exit(f"usage: {(__doc__ or '').splitlines()[-1]}")
    source, prompts, target = (Path(argument) for argument in sys.argv[1:])
    try:
        print(f"wrote {target} with prompt weights {copy_model_folder(source, prompts, target).version}")
    except (InspectorError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
