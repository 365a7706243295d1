"""Two plain folders: ``normal/`` and ``defect/`` (also good and bad, OK and NG). Subfolders name types; no masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from inspector.datasets.folders import class_folders, class_name, images_in, is_good, subfolders, type_of
from inspector.datasets.layouts.layout import Found
from inspector.datasets.sample import UNKNOWN, Sample
from inspector.datasets.synonyms import Synonyms


class NormalDefectLayout:
    """One class folder, or a folder of them. Nothing says what is for training, so that all images are for testing."""

    name = "normal-defect"
    looks_for = "normal/ and defect/ (or good/ and bad/, ok/ and ng/) with images"

    def fits(self, root: Path) -> bool:
        """See ``Layout``."""
        return bool(class_folders(root, _is_class))

    def read(self, root: Path, synonyms: Synonyms) -> Found:
        """See ``Layout``."""
        return Found([s for folder in class_folders(root, _is_class) for s in _samples(folder, synonyms)], [])


def _is_class(folder: Path) -> bool:
    return any(is_good(one.name) or _is_defective(one) for one in subfolders(folder))


def _is_defective(folder: Path) -> bool:
    return type_of(folder, Synonyms.built_in()) == UNKNOWN


def _samples(folder: Path, synonyms: Synonyms) -> Iterator[Sample]:
    name = class_name(folder)
    for one in subfolders(folder):
        if is_good(one.name):
            yield from (Sample(image, name, "test") for image in images_in(one))
        elif _is_defective(one):
            yield from (Sample(image, name, "test", (UNKNOWN,)) for image in images_in(one))
            for kind in subfolders(one):
                word = type_of(kind, synonyms)
                yield from (Sample(image, name, "test", (word,)) for image in images_in(kind))
