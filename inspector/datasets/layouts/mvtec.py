"""MVTec AD's layout, with no code for any folder that follows it; MPDD and MAD are two.

``CLASS/{train,test}/{good,TYPE}/STEM.png``, masks in ``CLASS/ground_truth/TYPE/STEM_mask.png``
(MAD-Real: ``STEM.png``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inspector.datasets.folders import (
    class_folders,
    class_name,
    find_mask,
    images_in,
    is_good,
    lowest_defective,
    subfolders,
)
from inspector.datasets.layouts.known import KnownSet, Words, one_word
from inspector.datasets.layouts.layout import Found
from inspector.datasets.sample import Sample, Split
from inspector.datasets.synonyms import Synonyms

_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}
_MASKS = "ground_truth"


@dataclass(frozen=True, slots=True)
class MvtecLayout:
    """One class folder, or a folder of them; ``known_set`` restricts it to one of the published sets."""

    name: str = "mvtec-layout"
    looks_for: str = "CLASS/{train,test}/{good,TYPE} with masks in CLASS/ground_truth/TYPE"
    known_set: KnownSet | None = None

    def fits(self, root: Path) -> bool:
        """See ``Layout``."""
        classes = class_folders(root, _is_class)
        return bool(classes) and (self.known_set is None or self.known_set.holds(classes))

    def read(self, root: Path, synonyms: Synonyms) -> Found:
        """See ``Layout``."""
        words = one_word if self.known_set is None else self.known_set.words
        classes = class_folders(root, _is_class)
        samples = [sample for folder in classes for sample in _samples(folder, words, synonyms)]
        used = {sample.mask for sample in samples}
        masks = (mask for one in classes for drawn in subfolders(one / _MASKS) for mask in images_in(drawn))
        stray = [mask for mask in masks if mask not in used]
        if self.known_set is None:
            return Found(samples, stray)
        return Found(samples, stray, self.known_set.title, self.known_set.licence)


def sample_at(image: Path, masks: Path | None = None) -> Sample | None:
    """Return the sample that ``image`` is by where it stands, or None where that is not ``.../{train,test}/TYPE/FILE``.

    ``masks`` is a folder that holds the masks of each type elsewhere than beside the split; with it, an image that is
    good or of a type that is drawn needs no split above its type.
    """
    # Not resolved: in a folder of links, the link's place says what the image is.
    folder = image.absolute().parent
    split_folder = folder.parent
    drawn = (split_folder.parent / _MASKS if masks is None else masks) / folder.name
    elsewhere = masks is not None and (is_good(folder.name) or drawn.is_dir())
    if split_folder.name not in _SPLITS and not elsewhere:
        return None
    split = _SPLITS.get(split_folder.name, "test")
    return _sample(image, class_name(split_folder.parent), split, one_word(folder, Synonyms.built_in()), drawn)


def _is_class(folder: Path) -> bool:
    return any((folder / split).is_dir() for split in _SPLITS)


def _samples(folder: Path, words: Words, synonyms: Synonyms) -> Iterator[Sample]:
    name = class_name(folder)
    for split in _SPLITS.values():
        for image in images_in(folder / split):
            # Some sets leave out the folder `good` where there is nothing else, as in `train`.
            if split == "train":
                yield Sample(image, name, split)
        for kind in subfolders(folder / split):
            types, drawn = words(kind, synonyms), folder / _MASKS / kind.name
            yield from (_sample(image, name, split, types, drawn) for image in images_in(kind))


def _sample(image: Path, name: str, split: Split, types: tuple[str, ...], drawn: Path) -> Sample:
    if is_good(drawn.name):
        return Sample(image, name, split)
    mask = find_mask(drawn, image)
    return Sample(image, name, split, types, mask, lowest_defective(mask))
