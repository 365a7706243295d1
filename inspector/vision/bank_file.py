"""Reference banks as bytes: safetensors, which cannot execute code, with what they were made for in the metadata."""

from __future__ import annotations

import json

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json, to_json
from inspector.vision.bank_features import LEVELS
from inspector.vision.reference_bank import BankInfo, Level, ReferenceBank

BANK_SCHEMA = "inspection.bank/1"
_INFO = "info"
_MAX_BYTES = 256 * 2**20
_MAX_HEADER_BYTES = 2**20


def dump_bank(bank: ReferenceBank, info: BankInfo) -> bytes:
    """Return the bank's file; the same bank gives the same bytes."""
    tensors: dict[str, Tensor] = {}
    for name, level in bank.levels.items():
        tensors[f"{name}.patches"] = level.patches.half().contiguous()
        tensors[f"{name}.frames"] = level.frames.to(torch.int32)
        tensors[f"{name}.spread"] = level.spread
        tensors[f"{name}.normal"] = torch.tensor([level.mean, level.std])
    # One metadata key only: safetensors does not promise an order for several, and the bytes are hashed.
    return save(tensors, {_INFO: f"{BANK_SCHEMA}\n{to_json(info).decode()}"})


def parse_bank(data: bytes) -> tuple[ReferenceBank, BankInfo]:
    """Read and verify a bank's bytes (untrusted).

    Raises:
        BadInputError: not a bank, of another schema, or its tensors do not fit together.
    """
    if len(data) > _MAX_BYTES:
        raise _bad(f"{len(data)} bytes")
    info = _parse_info(data)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError) as error:
        raise _bad(str(error)) from error
    return ReferenceBank({name: _parse_level(name, tensors) for name in LEVELS}), info


def _parse_info(data: bytes) -> BankInfo:
    # safetensors gives metadata of files on disk only; the layout is 8 bytes of length, then that much JSON.
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length]) if length <= _MAX_HEADER_BYTES else None
    except (ValueError, RecursionError) as error:
        raise _bad("no safetensors header") from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    text = metadata.get(_INFO) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise _bad("no bank metadata")
    schema, _, record = text.partition("\n")
    if schema != BANK_SCHEMA:
        raise _bad(f"schema {schema[:60]!r}")
    return from_json(BankInfo, record)


def _parse_level(name: str, tensors: dict[str, Tensor]) -> Level:
    try:
        patches, frames = tensors[f"{name}.patches"].float(), tensors[f"{name}.frames"].long()
        spread, normal = tensors[f"{name}.spread"], tensors[f"{name}.normal"]
    except KeyError as error:
        raise _bad(f"no tensor {error}") from error
    fits = patches.ndim == 2 and len(patches) > 0 and frames.shape == patches.shape[:1]
    if not (fits and spread.shape == patches.shape[1:] and normal.shape == (2,)):
        raise _bad(f"level {name} with shapes that do not fit together")
    if not (patches.isfinite().all() and (spread > 0).all() and normal.isfinite().all() and normal[1] > 0):
        raise _bad(f"level {name} with numbers out of range")
    return Level(patches, frames, spread, float(normal[0]), float(normal[1]))


def _bad(got: str) -> BadInputError:
    return BadInputError(f"a reference bank ({BANK_SCHEMA})", got, "enrol the camera again with `inspector enroll`")
