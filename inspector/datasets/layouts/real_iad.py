"""Real-IAD: ``CLASS/OK/S0001/*_C1_*.jpg`` and ``CLASS/NG/CODE/S0001/*_C1_*.jpg``, each mask a PNG beside its image.

Five views (C1 to C5) of each part; in some views of a defective part the defect cannot be seen: they have no mask and
count as normal. ``CLASS.json`` in ``realiad_jsons`` says so, and which image is for what: ``{"meta": {"normal_class"},
"train"|"test": [{"anomaly_class", "image_path", "mask_path"}]}`` with paths relative to the class's folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inspector.datasets.folders import class_folders, class_name, find_mask, images_in, inside, subfolders, type_of
from inspector.datasets.layouts.layout import Found
from inspector.datasets.sample import Sample, Split
from inspector.datasets.synonyms import Synonyms
from inspector.domain.errors import BadInputError
from inspector.vision.image_file import printable

_PART = re.compile(r"S\d+")
# Masks were scaled down with their images, which left grey edges.
_MASK_ABOVE = 127
_SPLITS: tuple[Split, ...] = ("train", "test")


class RealIadLayout:
    """The folder of one resolution (``realiad_1024``), or one of its classes."""

    name = "real-iad"
    looks_for = "CLASS/OK/S0001/*.jpg and CLASS/NG/CODE/S0001/*.jpg"

    def fits(self, root: Path) -> bool:
        """See ``Layout``."""
        return bool(class_folders(root, _is_class))

    def read(self, root: Path, synonyms: Synonyms) -> Found:
        """See ``Layout``."""
        samples, stray = [], []
        for folder in class_folders(root, _is_class):
            listed = _list_of(folder)
            found = list(_by_folders(folder, synonyms) if listed is None else _by_list(folder, listed, synonyms))
            used = {sample.mask for sample in found}
            images = {sample.image for sample in found}
            lost = (path for part in _parts(folder / "NG") for path in images_in(part) if path.suffix.lower() == ".png")
            samples += found
            # With a list, masks of images that it leaves out (it may hold one view only) are no fault.
            stray += [] if listed else [path for path in lost if path not in used and path not in images]
        return Found(samples, stray, "Real-IAD", "CC BY-NC-SA 4.0")


def _is_class(folder: Path) -> bool:
    return next(_parts(folder / "OK"), None) is not None or next(_parts(folder / "NG"), None) is not None


def _parts(folder: Path) -> Iterator[Path]:
    """Yield the folders of single parts, ``OK/S0001`` or ``NG/AK/S0001``."""
    for one in subfolders(folder):
        if _PART.fullmatch(one.name):
            yield one
        else:
            yield from (part for part in subfolders(one) if _PART.fullmatch(part.name))


def _list_of(folder: Path) -> Path | None:
    folder = folder.absolute()
    name = f"{folder.name}.json"
    bases = (folder, folder.parent, folder.parent.parent)
    inner = ("realiad_jsons/realiad_jsons", "realiad_jsons", ".")
    return next((path for base in bases for place in inner if (path := base / place / name).is_file()), None)


def _by_list(folder: Path, file: Path, synonyms: Synonyms) -> Iterator[Sample]:
    content = _read(file)
    good = content.get("meta", {}).get("normal_class", "OK")
    for split in _SPLITS:
        for entry in content.get(split, []):
            try:
                kind, relative, drawn = entry["anomaly_class"], entry["image_path"], entry.get("mask_path")
                image, mask = inside(folder, relative), inside(folder, drawn) if drawn else None
            except (AttributeError, KeyError, TypeError) as error:
                raise _wrong(file, f"{str(entry)[:100]} in {split}") from error
            if image is None or not isinstance(kind, str):
                raise _wrong(file, f"{str(entry)[:100]} in {split}")
            if kind == good:
                yield Sample(image, class_name(folder), split)
            else:
                mask = mask if mask is not None and mask.is_file() else find_mask(image.parent, image)
                yield Sample(image, class_name(folder), split, (synonyms.canonical(kind),), mask, _MASK_ABOVE)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadInputError("Real-IAD's list as JSON", f"{printable(file)}: {error}", "fetch it anew") from error
    if not isinstance(content, dict) or not isinstance(content.get("meta", {}), dict):
        raise _wrong(file, "another form")
    if not all(isinstance(content.get(split, []), list) for split in _SPLITS):
        raise _wrong(file, "another form")
    return content


def _wrong(file: Path, got: str) -> BadInputError:
    return BadInputError("the entries of Real-IAD's list", f"{printable(file)} with {got}", "fetch it anew")


def _by_folders(folder: Path, synonyms: Synonyms) -> Iterator[Sample]:
    """Yield all images, for testing: only the list says what is for training."""
    name = class_name(folder)
    for part in _parts(folder / "OK"):
        yield from (Sample(image, name, "test") for image in _views(part))
    for part in _parts(folder / "NG"):
        word = type_of(part.parent, synonyms)
        masks = [(image, find_mask(part, image)) for image in _views(part)]
        drawn = any(mask is not None for _, mask in masks)
        for image, mask in masks:
            hidden = drawn and mask is None
            yield Sample(image, name, "test") if hidden else Sample(image, name, "test", (word,), mask, _MASK_ABOVE)


def _views(part: Path) -> list[Path]:
    return [path for path in images_in(part) if path.suffix.lower() != ".png"]
