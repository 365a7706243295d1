"""Reference banks as bytes: safetensors, which cannot execute code, with what they were made for in the metadata."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json
from inspector.domain.scoring import ScoringSettings
from inspector.vision.bank_features import DETAIL, FINE, LEVELS, TEXTURE, ZERO_SHOT, chosen_levels, counting_levels
from inspector.vision.marked_tensors import MAX_HEADER_BYTES, UnmarkedError, mark, marked_record
from inspector.vision.matching import Anywhere, FineInPlace, InPlace
from inspector.vision.normal_map import NormalMap
from inspector.vision.reference_bank import BankInfo, Level, ReferenceBank, frames_in_place
from inspector.vision.whitening import Whitening

BANK_SCHEMA = "inspection.bank/7"
_MAX_BYTES = 256 * 2**20
_FARTHEST = 1e6  # distances are of features that are whitened or of length 1
_FEWEST = 3  # frames that a deviation without one of them can be told of
_TEXT = f"{ZERO_SHOT}.text"


def check_size(shapes: Mapping[str, torch.Size], frames: int, scoring: ScoringSettings) -> None:
    """Refuse a bank that might become too large to be read, before it is built.

    Where frames may be matched in place, that is what it might come to: it keeps all patches of its frames.

    Args:
        shapes: [rows, columns, D] of one frame's features, by level; only levels that are here count.
        frames: how many the bank is to be made of.
        scoring: its ``bank_*`` settings.

    Raises:
        BadInputError: more than ``_MAX_BYTES``.
    """
    chosen = [name for name in chosen_levels(scoring.bank_levels, scoring.bank_fusion) if name in shapes]
    states = ((True, True), (True, False), (False, False))
    counting = [counting_levels(chosen, in_place=in_place, finer=finer) for in_place, finer in states]
    sizes = {name: _most_bytes(name, shapes[name], frames, scoring) for name in chosen}
    needed = MAX_HEADER_BYTES + max(sum(sizes[name] for name in names) for names in counting)
    if needed > _MAX_BYTES:
        raise BadInputError(
            f"a bank of at most {_MAX_BYTES // 2**20} MiB",
            f"one that may take {needed // 2**20} MiB",
            "lower scoring.bank_frames or scoring.bank_patches, set scoring.bank_levels to coarse, give fewer frames, "
            "or use fewer tiles",
        )


def _most_bytes(name: str, shape: torch.Size, frames: int, scoring: ScoringSettings) -> int:
    """Return what the patches of a level may take."""
    rows, columns, width = shape
    patches = frames * rows * columns
    if name == FINE:
        patches = 0  # it is matched in place or not at all
    elif name != ZERO_SHOT:
        patches = min(patches, scoring.bank_patches)
    if name != ZERO_SHOT and scoring.bank_matching != "anywhere":
        in_place = frames_in_place(name, shape, frames, scoring) * rows * columns
        patches = in_place if scoring.bank_matching == "in_place" else max(patches, in_place)
    return patches * width * (4 if name in (TEXTURE, ZERO_SHOT) else 2)


def dump_bank(bank: ReferenceBank, info: BankInfo) -> bytes:
    """Return the bank's file; the same bank gives the same bytes."""
    tensors: dict[str, Tensor] = {}
    for name, level in bank.levels.items():
        patches = level.matcher.patches
        # Whitened features reach hundreds, logits tens, where half precision is coarser than normals differ.
        tensors[f"{name}.patches"] = patches if name in (TEXTURE, ZERO_SHOT) else patches.half().contiguous()
        tensors[f"{name}.frames"] = level.matcher.frames.to(torch.int32)
        if level.whitening is not None:
            tensors[f"{name}.centre"] = level.whitening.centre
            tensors[f"{name}.whitening"] = level.whitening.matrix.contiguous()
        tensors[f"{name}.normal"] = torch.stack([level.mean, level.std])
        if level.measured is not None:
            tensors[f"{name}.measured"] = level.measured.to(torch.int32)
    if bank.text is not None:
        tensors[_TEXT] = bank.text
    return save(tensors, mark(BANK_SCHEMA, info))


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
    there = [name for name in LEVELS if f"{name}.patches" in tensors]
    levels = {name: _parse_level(name, tensors, len(info.frame_digests)) for name in there}
    if not levels:
        raise _bad("no level of features")
    return ReferenceBank(levels, _parse_text(tensors) if ZERO_SHOT in levels else None), info


def _parse_info(data: bytes) -> BankInfo:
    try:
        return from_json(BankInfo, marked_record(data, BANK_SCHEMA))
    except UnmarkedError as error:
        raise _bad(str(error)) from error


def _parse_level(name: str, tensors: dict[str, Tensor], normals: int) -> Level:
    try:
        patches, frames = tensors[f"{name}.patches"].float(), tensors[f"{name}.frames"].long()
        normal = tensors[f"{name}.normal"].float()
        whitening = _parse_whitening(name, tensors, patches.shape[-1]) if name in (TEXTURE, FINE) else None
    except KeyError as error:
        raise _bad(f"no tensor {error}") from error
    if not (patches.ndim in (2, 4) and patches.numel() > 0 and frames.shape == patches.shape[:1]):
        raise _bad(f"level {name} with shapes that do not fit together")
    measured = _parse_measured(name, tensors, normals)
    if patches.ndim != 4 and (name == FINE or measured is not None):
        raise _bad(f"level {name} that is not compared in place")
    if normal.shape != ((2,) if measured is None else (2, *patches.shape[1:3])) or (name == FINE and measured is None):
        raise _bad(f"level {name} with shapes that do not fit together")
    # At a place where normals never differed the deviation is 0; what is around it counts there.
    least = (normal[1] > 0).all() if measured is None else (normal[1] >= 0).all()
    if not (patches.isfinite().all() and bool((normal.abs() < _FARTHEST).all()) and bool(least)):
        raise _bad(f"level {name} with numbers out of range")
    return Level(_matcher(name, patches, frames), whitening, normal[0], normal[1], measured)


def _parse_measured(name: str, tensors: dict[str, Tensor], normals: int) -> Tensor | None:
    """Return the numbers of the normals that a level was measured on at each place; None: on all places together."""
    measured = tensors.get(f"{name}.measured") if name in (DETAIL, FINE) else None
    if measured is None:
        return None
    listed = measured.dtype == torch.int32 and measured.ndim == 1 and _FEWEST <= len(measured) <= normals
    # Their length is known to be small before they are looked at one by one.
    different = listed and len(set(measured.tolist())) == len(measured)
    if not (different and 0 <= measured.min() <= measured.max() < normals):
        raise _bad(f"level {name} measured on frames that are none")
    return measured.long()


def _matcher(name: str, patches: Tensor, frames: Tensor) -> Anywhere | InPlace | NormalMap:
    if name == ZERO_SHOT:
        if patches.ndim != 4:
            raise _bad("zero-shot maps that are none")
        return NormalMap(patches, frames)
    if name == FINE:
        return FineInPlace(patches, frames)
    return InPlace(patches, frames) if patches.ndim == 4 else Anywhere(patches, frames)


def _parse_text(tensors: dict[str, Tensor]) -> Tensor:
    text = tensors.get(_TEXT)
    if text is None or text.ndim != 2 or len(text) < 2 or not text.isfinite().all():
        raise _bad("zero-shot maps without the text they were made with")
    return text.float()


def _parse_whitening(name: str, tensors: dict[str, Tensor], width: int) -> Whitening:
    centre, matrix = tensors[f"{name}.centre"].float(), tensors[f"{name}.whitening"].float()
    if centre.shape != (width,) or matrix.shape != (width, width):
        raise _bad(f"a whitening that does not fit level {name}")
    if not (centre.isfinite().all() and matrix.isfinite().all()):
        raise _bad("a whitening with numbers out of range")
    return Whitening(centre, matrix)


def _bad(got: str) -> BadInputError:
    return BadInputError(f"a reference bank ({BANK_SCHEMA})", got, "enrol the camera again with `inspector enroll`")
