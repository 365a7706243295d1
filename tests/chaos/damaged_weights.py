"""Files of prompt weights that must not be taken, each made so that one check of the loader meets it and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from safetensors.torch import load, save

from inspector.dapo.prompt_weights import content_version
from inspector.dapo.weights_file import MANIFEST_KEY
from inspector.domain.records import from_json, to_json
from inspector.domain.weights import WeightsManifest

_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Damage:
    """``complaint`` is what the check says that is to find it."""

    name: str
    do: Callable[[bytes], bytes]
    complaint: str


def _flipped(data: bytes) -> bytes:
    middle = 3 * len(data) // 4
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _not_a_number(data: bytes) -> bytes:
    def spoil(tensor: torch.Tensor) -> torch.Tensor:
        spoilt = tensor.clone()
        spoilt.view(-1)[-1] = float("nan")
        return spoilt

    return _sealed_again(data, spoil)


def _another_shape(data: bytes) -> bytes:
    return _sealed_again(data, lambda tensor: tensor.reshape(-1))


def _sealed_again(data: bytes, change: Callable[[torch.Tensor], torch.Tensor]) -> bytes:
    """Change one tensor and let the manifest vouch for it, as whoever saved what a training went wrong with would."""
    tensors = load(data)
    name = next(name for name, tensor in sorted(tensors.items()) if tensor.dim() > 1)
    tensors[name] = change(tensors[name])
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    manifest = from_json(WeightsManifest, header["__metadata__"][MANIFEST_KEY])
    sealed = replace(manifest, version=content_version(tensors, manifest))
    return save(tensors, {MANIFEST_KEY: to_json(sealed).decode()})


DAMAGES = (
    Damage("flipped bit", _flipped, "content that hashes to"),
    Damage("NaN", _not_a_number, "finite numbers in"),
    Damage("truncated", _truncated, "a whole safetensors file"),
    Damage("wrong shape", _another_shape, " as torch."),
)
