"""Prompt weights on disk: safetensors with the manifest in its metadata. Reading one never executes anything."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from inspector.dapo.backbone import backbone_id
from inspector.dapo.clip import model_shape
from inspector.dapo.prompt_weights import PromptWeights, content_hash, seal
from inspector.dapo.spec import BUNDLED, LOCAL_FOLDER, RANDOM, ModelSpec
from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json, to_json
from inspector.domain.weights import WeightsManifest
from inspector.files import write_whole

MANIFEST_KEY = "manifest"
_MAX_HEADER_BYTES = 1 << 20
_MAX_FILE_BYTES = 1 << 30
_LENGTH_BYTES = 8  # safetensors: little-endian header length, then the header as JSON, then the tensors


def save_weights(path: Path, weights: PromptWeights, manifest: WeightsManifest) -> WeightsManifest:
    """Write weights and manifest, and return the manifest with its ``version``.

    The file appears whole under its name or not at all.

    Raises:
        BadInputError: the folder cannot be written.
    """
    data, sealed = weights_bytes(weights, manifest)
    try:
        write_whole(path, data)
    except OSError as error:
        raise BadInputError(
            "a folder that weights can be written to", f"{error.strerror} for {path}", "choose another path"
        ) from error
    return sealed


def weights_bytes(weights: PromptWeights, manifest: WeightsManifest) -> tuple[bytes, WeightsManifest]:
    """Return the content of a weights file, and its manifest with its ``version``."""
    sealed = seal(weights, manifest)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.state_dict().items()}
    return to_safetensors(tensors, {MANIFEST_KEY: to_json(sealed).decode()}), sealed


def load_weights(path: Path, expect_model: ModelSpec | None = None) -> tuple[PromptWeights, WeightsManifest]:
    """Read and verify a weights file.

    Raises:
        BadInputError: there is no such file, or as ``parse_weights``.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_FILE_BYTES:
            raise _bad(str(path), f"a weights file of at most {_MAX_FILE_BYTES} bytes", f"{size} bytes")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise BadInputError("a weights file", f"{path}, which does not exist", "check the path") from error
    except OSError as error:
        raise _bad(str(path), "a readable weights file", error.strerror or str(error)) from error
    return parse_weights(data, str(path), expect_model)


def parse_weights(
    data: bytes, where: str, expect_model: ModelSpec | None = None
) -> tuple[PromptWeights, WeightsManifest]:
    """Verify the bytes of a weights file: structure, manifest, content hash, model, tensors, in this order.

    Args:
        data: the file's content, untrusted.
        where: what to call it in an error.
        expect_model: the model it must have been made for; None takes any that open_clip knows.

    Raises:
        BadInputError: the first of these that does not hold.
    """
    metadata = _read_metadata(data, where)
    try:
        tensors = parse_safetensors(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _bad(where, "a whole safetensors file", str(error)[:200]) from error
    manifest, unsealed = _read_manifest(metadata, where)
    version = content_hash(tensors, unsealed)
    if version != manifest.version:
        raise _bad(where, f"content that hashes to {manifest.version[:64]!r}, as its manifest says", repr(version))
    if expect_model is not None:
        _check_model(manifest, expect_model, where)
    weights = _empty_weights(manifest, expect_model, where)
    _check_tensors(tensors, weights.state_dict(), where)
    weights.load_state_dict(tensors, assign=True)
    return weights, manifest


def verify_weights(path: Path) -> WeightsManifest:
    """Verify a weights file in every respect and return its manifest. Raises as ``load_weights``."""
    return load_weights(path)[1]


def _read_metadata(data: bytes, where: str) -> dict[str, str]:
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    room = min(_MAX_HEADER_BYTES, len(data) - _LENGTH_BYTES)
    if room < 2:
        raise _bad(where, "a safetensors file", f"{len(data)} bytes")
    if not 2 <= length <= room:
        raise _bad(where, f"a safetensors header of 2 to {room} bytes", f"one that says {length}")
    try:
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    except (ValueError, RecursionError) as error:
        raise _bad(where, "a safetensors header in JSON", str(error)[:200]) from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _read_manifest(metadata: dict[str, str], where: str) -> tuple[WeightsManifest, bytes]:
    """Return the manifest, and what its version is the hash of: its text as written, with an empty version.

    Its text, not what was read of it: a release of another minor version wrote other fields, and hashed those.
    """
    text = metadata.get(MANIFEST_KEY)
    if not isinstance(text, str):
        raise _bad(where, f"prompt weights with {MANIFEST_KEY!r} in the metadata", f"metadata {sorted(metadata)}")
    try:
        manifest = from_json(WeightsManifest, text)
    except BadInputError as error:
        raise _bad(where, error.expected, error.got) from error
    return manifest, text.replace(f'"version":"{manifest.version}"', '"version":""').encode()


def _check_model(manifest: WeightsManifest, spec: ModelSpec, where: str) -> None:
    expected = (spec.name, spec.pretrained, model_shape(spec).image_size_px, backbone_id(spec))
    got = (manifest.model, manifest.pretrained, manifest.image_size_px, manifest.backbone)
    # A folder's identity is that of its architecture and weights: what it is called and where it lies does not matter.
    folders = _is_folder(manifest.model, manifest.pretrained) and _is_folder(spec.name, spec.pretrained)
    if got[2:] != expected[2:] or (got != expected and not folders):
        raise BadInputError(
            "weights made for {} / {} at {} px (frozen weights: {})".format(*expected),
            "{} / {} at {} px (frozen weights: {}) in {}".format(*got, where),
            "set model.name, pretrained, image_size_px and seed to the file's, or use other weights",
        )


def _is_folder(model: str, pretrained: str) -> bool:
    return pretrained != RANDOM and (pretrained == BUNDLED or model.startswith(LOCAL_FOLDER))


def _empty_weights(manifest: WeightsManifest, spec: ModelSpec | None, where: str) -> PromptWeights:
    """Build weights of the shapes that model and manifest ask for, on ``meta``, where a lie costs no memory."""
    shape = model_shape(spec or ModelSpec(manifest.model, manifest.pretrained, manifest.image_size_px))
    if manifest.taps != shape.taps:
        raise _bad(where, f"taps {list(shape.taps)} for {manifest.model}", str(list(manifest.taps)))
    prompts = (manifest.contexts, manifest.context_tokens)
    layer_tokens = (manifest.text_layer_tokens, manifest.visual_layer_tokens)  # none: tuned without them
    if min(prompts) < 1 or min(layer_tokens) < 0 or max(*prompts, *layer_tokens) > 1000:
        raise _bad(where, "1 to 1000 contexts and tokens, and at most 1000 layer tokens", f"{prompts}, {layer_tokens}")
    with torch.device("meta"):
        return PromptWeights(shape, *prompts, *layer_tokens)


def _check_tensors(tensors: dict[str, Tensor], expected: dict[str, Tensor], where: str) -> None:
    if tensors.keys() != expected.keys():
        missing, unknown = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
        raise _bad(where, f"tensors {sorted(expected)}", f"missing {missing}, unknown {unknown}")
    for name, tensor in tensors.items():
        wanted = expected[name]
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise _bad(
                where,
                f"{name} as {wanted.dtype} {list(wanted.shape)}",
                f"{tensor.dtype} {list(tensor.shape)}",
            )
        if not torch.isfinite(tensor).all():
            raise _bad(where, f"finite numbers in {name}", "NaN or infinity")


def _bad(where: str, expected: str, got: str) -> BadInputError:
    return BadInputError(
        expected, f"{got} in {where}", "use an undamaged weights file; `inspector weights init FILE` makes a new one"
    )
