"""Plain folders without masks: ``normal/`` and ``defect/`` (also good and bad, OK and NG), whose subfolders name types.

Where there is no ``defect/``, the folders beside ``normal/`` are of one type each, as in ``good/`` and ``cracked/``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from inspector.datasets.folders import class_folders, class_name, images_in, is_good, subfolders, type_of
from inspector.datasets.layouts.layout import Found
from inspector.datasets.sample import UNKNOWN, Sample
from inspector.datasets.synonyms import Synonyms

_MASKS = frozenset({"ground_truth", "mask", "masks"})


class NormalDefectLayout:
    """One class folder, or a folder of them. Nothing says what is for training, so that all images are for testing."""

    name = "normal-defect"
    looks_for = "normal/ and defect/ (or good/ and bad/, ok/ and ng/) or normal/ and TYPE/ with images"

    def fits(self, root: Path) -> bool:
        """See ``Layout``."""
        return bool(class_folders(root, _is_class))

    def read(self, root: Path, synonyms: Synonyms) -> Found:
        """See ``Layout``."""
        return Found([s for folder in class_folders(root, _is_class) for s in _samples(folder, synonyms)], [])


def _is_class(folder: Path) -> bool:
    return any(is_good(one.name) or _is_defective(one) for one in subfolders(folder))


def _is_type(folder: Path) -> bool:
    """Tell whether a folder beside the good one may name a type: masks would pass for pictures of defects."""
    return folder.name.casefold() not in _MASKS and not is_good(folder.name)


def _is_defective(folder: Path) -> bool:
    return type_of(folder, Synonyms.built_in()) == UNKNOWN


def _samples(folder: Path, synonyms: Synonyms) -> Iterator[Sample]:
    name = class_name(folder)
    folders = subfolders(folder)
    typed = [] if any(_is_defective(one) for one in folders) else [one for one in folders if _is_type(one)]
    for one in folders:
        if is_good(one.name):
            yield from (Sample(image, name, "test") for image in images_in(one))
        elif one in typed:
            yield from (Sample(image, name, "test", (type_of(one, synonyms),)) for image in images_in(one))
        elif _is_defective(one):
            yield from (Sample(image, name, "test", (UNKNOWN,)) for image in images_in(one))
            for kind in subfolders(one):
                word = type_of(kind, synonyms)
                yield from (Sample(image, name, "test", (word,)) for image in images_in(kind))
