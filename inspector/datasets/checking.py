"""What a data set holds and what is wrong with it, before hours are spent on it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inspector.datasets.reading import MAX_TYPES, MaskError, picture_size, read_grey, same_aspect
from inspector.datasets.sample import GOOD, Dataset, Sample, Split
from inspector.domain.checks import check_word
from inspector.domain.errors import BadInputError
from inspector.vision.image_file import list_images, printable

_NAMED = 3
_SPLITS = ("train", "test")
_BESIDE = (*_SPLITS, "ground_truth")


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """One class: how many images of each type, ``good`` among them, each split has, and its vocabulary.

    An image of several types counts for each of them. ``defective`` and ``drawn`` are how many images show a defect,
    and how many of those have a mask; ``missing_masks`` names the others, where some are drawn.
    """

    name: str
    train: Mapping[str, int]
    test: Mapping[str, int]
    vocabulary: tuple[str, ...]
    defective: int
    drawn: int
    missing_masks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """Facts about a data set. ``problems`` make results wrong or end a run; ``remarks`` say what will not exist."""

    classes: tuple[ClassFacts, ...]
    vocabulary: tuple[str, ...]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]


class _Notes:
    def __init__(self) -> None:
        self.problems: list[str] = []
        self.remarks: list[str] = []


def check(dataset: Dataset, progress: Callable[[], None] = lambda: None) -> Findings:
    """Look at every file: the headers of all images, all pixels of all masks; call ``progress`` for each sample."""
    notes = _Notes()
    for sample in dataset.samples:
        _check_files(sample, notes)
        progress()
    facts = tuple(_facts(dataset, name) for name in dataset.classes)
    for one in facts:
        _check_class(one, notes)
    _check_copies(dataset, notes)
    notes.problems += _unread(dataset)
    notes.problems += [f"mask without an image: {_shown(mask, dataset.root)}" for mask in dataset.stray_masks]
    return Findings(facts, dataset.vocabulary(), tuple(notes.problems), tuple(notes.remarks))


def _check_files(sample: Sample, notes: _Notes) -> None:
    try:
        size = picture_size(sample.image)
    except (OSError, ValueError) as error:
        notes.problems.append(f"unreadable image: {sample.name}: {_reason(error)}")
        return
    if sample.mask is None:
        return
    try:
        grey = read_grey(sample)
    except MaskError as error:
        notes.problems.append(f"unreadable mask: {error.got}")
        return
    own = (grey.shape[1], grey.shape[0])
    sizes = f"{sample.name} has {size[0]} x {size[1]} pixels, its mask {own[0]} x {own[1]}"
    if not same_aspect(own, size):
        notes.problems.append(f"misfitting mask: {sizes}")
    elif own != size:
        notes.remarks.append(f"mask of another size, which will be scaled: {sizes}")
    if not (grey > sample.mask_above).any():
        notes.problems.append(f"empty mask of a defect: {sample.name}")


def _facts(dataset: Dataset, name: str) -> ClassFacts:
    samples = dataset.of_class(name)
    defective = [sample for sample in samples if sample.anomalous]
    undrawn = tuple(sample.name for sample in defective if sample.mask is None)
    drawn = len(defective) - len(undrawn)
    counts = (_counts(samples, "train"), _counts(samples, "test"))
    return ClassFacts(name, *counts, dataset.vocabulary(name), len(defective), drawn, undrawn if drawn else ())


def _counts(samples: tuple[Sample, ...], split: Split) -> dict[str, int]:
    return dict(Counter(word for s in samples if s.split == split for word in s.defect_types or (GOOD,)))


def _check_class(facts: ClassFacts, notes: _Notes) -> None:
    if missing := facts.missing_masks:
        counted = "missing mask" if len(missing) == 1 else f"{len(missing)} missing masks"
        notes.problems.append(f"{counted}: {_first(missing)}")
    elif facts.defective and not facts.drawn:
        notes.remarks.append(f"{facts.name}: no masks: metrics of pixels will not exist")
    if not facts.test:
        notes.remarks.append(f"{facts.name}: nothing to test on: no metrics will exist")
    elif set(facts.test) == {GOOD} or GOOD not in facts.test:
        only = "good" if GOOD in facts.test else "defective"
        notes.remarks.append(f"{facts.name}: only {only} images to test on: ranking metrics will not exist")
    notes.problems += [f"{facts.name}: {problem}" for problem in _unusable(facts.vocabulary)]
    if GOOD not in facts.train:
        notes.remarks.append(f"{facts.name}: no good images for training: no reference bank from them")


def _unusable(vocabulary: tuple[str, ...]) -> Iterator[str]:
    """Yield what ends a run that takes these types from their folders' names."""
    if len(vocabulary) > MAX_TYPES:
        yield f"{len(vocabulary)} types of defects, of which {MAX_TYPES} can be told apart"
    for word in vocabulary:
        try:
            check_word("a type's name", word)
        except BadInputError as error:
            yield f"expected {error.expected}, got {error.got}"


def _check_copies(dataset: Dataset, notes: _Notes) -> None:
    """One picture that is both good and defective is a problem; other copies need not be, as of a blank surface."""
    for samples in _equal_files(dataset):
        names = _first([sample.name for sample in samples])
        if len({sample.anomalous for sample in samples}) > 1:
            notes.problems.append(f"the same picture both good and defective: {names}")
        elif len({sample.split for sample in samples}) > 1:
            notes.remarks.append(f"the same picture for training and for testing: {names}")
        else:
            notes.remarks.append(f"the same picture {len(samples)} times: {names}")


def _unread(dataset: Dataset) -> Iterator[str]:
    """Yield what a reader of the folder would have missed: folders whose images the layout has no place for."""
    root = dataset.root.absolute()
    if root.name in _SPLITS and any((root.parent / name).is_dir() for name in _BESIDE if name != root.name):
        whole = printable(Path(root.parent.name))
        yield f"{root.name}/ is one part of {whole}/: check {whole}/, or its other images and its masks are not read"
    read = {path for sample in dataset.samples for path in (sample.image, sample.mask)} | set(dataset.stray_masks)
    images = list_images(dataset.root)
    known = {path.parent for path in images if path in read}
    for folder, count in Counter(path.parent for path in images if path.parent not in known).items():
        where = "the folder itself" if folder == dataset.root else f"{_shown(folder, dataset.root)}/"
        counted = "1 image in {} is" if count == 1 else f"{count} images in {{}} are"
        yield f"{counted.format(where)} not read: the layout {dataset.layout} has no place there"


def _equal_files(dataset: Dataset) -> Iterator[list[Sample]]:
    by_size: dict[int, list[Sample]] = defaultdict(list)
    for sample in dataset.samples:
        if sample.image.is_file():
            by_size[sample.image.stat().st_size].append(sample)
    for samples in by_size.values():
        if len(samples) > 1:  # most files differ in size already, and need not be read again
            by_content: dict[bytes, list[Sample]] = defaultdict(list)
            for sample in samples:
                by_content[_digest(sample.image)].append(sample)
            yield from (equal for equal in by_content.values() if len(equal) > 1)


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:  # reported as unreadable already, and equal to no other
        return repr(path).encode()


def _reason(error: OSError | ValueError) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _first(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _shown(path: Path, root: Path) -> str:
    return printable(path.relative_to(root) if path.is_relative_to(root) else path)
