"""T of vocabularies as bytes (safetensors), so that weights come to serve without a text tower."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary
from inspector.domain.records import from_json
from inspector.vision.marked_tensors import UnmarkedError, mark, marked_record

TEXTS_SCHEMA = "inspection.texts/1"
_MAX_BYTES = 64 * 2**20
# Rows are of length 1, to rounding.
_LENGTH_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class TextsInfo:
    """Which weights made the texts, and of which vocabularies; tensor ``N`` is T of the Nth."""

    weights_version: str
    vocabularies: tuple[Vocabulary, ...]


def dump_texts(texts: Mapping[Vocabulary, Tensor], weights_version: str) -> bytes:
    """Return the file of T, float32 [1+K, D] each; the same texts give the same bytes."""
    ordered = sorted(texts, key=lambda vocabulary: (vocabulary.object_word, vocabulary.defect_types))
    tensors = {str(number): texts[vocabulary].float().cpu().contiguous() for number, vocabulary in enumerate(ordered)}
    return save(tensors, mark(TEXTS_SCHEMA, TextsInfo(weights_version, tuple(ordered))))


def parse_texts(data: bytes, weights_version: str, width: int) -> dict[Vocabulary, Tensor]:
    """Return T of each vocabulary in a file's bytes, untrusted.

    Args:
        data: the file's content.
        weights_version: of the weights that it must have been made with.
        width: D, the features of a row.

    Raises:
        BadInputError: it is no such file.
    """
    if len(data) > _MAX_BYTES:
        raise _bad(f"{len(data)} bytes")
    try:
        info = from_json(TextsInfo, marked_record(data, TEXTS_SCHEMA))
        tensors = load(data)
    except UnmarkedError as error:
        raise _bad(str(error)) from error
    except (SafetensorError, ValueError) as error:
        raise _bad(str(error)[:200]) from error
    if info.weights_version != weights_version:
        raise _bad(f"texts of weights {info.weights_version:.12}, not of {weights_version:.12}")
    if tensors.keys() != {str(number) for number in range(len(info.vocabularies))}:
        raise _bad(f"{len(tensors)} tensors for {len(info.vocabularies)} vocabularies")
    return {
        vocabulary: _checked(tensors[str(number)], vocabulary, width)
        for number, vocabulary in enumerate(info.vocabularies)
    }


def _checked(text: Tensor, vocabulary: Vocabulary, width: int) -> Tensor:
    wanted = (1 + len(vocabulary.defect_types), width)
    if text.dtype != torch.float32 or tuple(text.shape) != wanted:
        raise _bad(f"{text.dtype} {list(text.shape)} where float32 {list(wanted)} is due")
    lengths = text.norm(dim=1)
    if not (text.isfinite().all() and (lengths - 1).abs().max() < _LENGTH_TOLERANCE):
        raise _bad("rows that are not of length 1")
    return text


def _bad(got: str) -> BadInputError:
    return BadInputError(f"texts of weights ({TEXTS_SCHEMA})", got, "publish the weights again")
