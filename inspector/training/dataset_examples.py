"""Labelled data sets as training examples."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from inspector.datasets.reading import MaskError, image_bytes, read_type_mask
from inspector.datasets.sample import UNKNOWN, Dataset, Sample
from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.domain.product import Vocabulary
from inspector.domain.text import printable, shortened
from inspector.training.examples import TrainingExample, UnreadableExampleError
from inspector.vision.decode import DecodeLimits, decode

ObjectWord = Literal["object", "class"]
"""What stands for the part in the prompts: "object" for every product, or the class's own name."""


class DatasetExamples:
    """The test images of data sets, good and defective, and what defects stand elsewhere; as an ``ExampleSource``.

    Each image has the vocabulary of its class in its data set. A class without any defect has that of its whole data
    set, and a data set without any that of all, for the words that are not there are what its images are told from.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        image_size_px: int,
        *,
        classes: Collection[str] | None = None,
        object_word: ObjectWord = "object",
        limits: DecodeLimits = DecodeLimits(),  # noqa: B008  # frozen
    ) -> None:
        """Choose the samples; nothing is read yet. ``classes`` None takes all.

        Raises:
            BadInputError: a class that no data set has, or nothing to learn from.
        """
        _check_classes(datasets, classes)
        self._size_px = image_size_px
        self._limits = limits
        self._samples: list[tuple[Sample, Vocabulary]] = []
        all_types = _all_types(datasets)
        for dataset in datasets:
            for name in dataset.classes:
                if classes is None or name in classes:
                    types = dataset.vocabulary(name) or dataset.vocabulary() or all_types
                    word = "object" if object_word == "object" else name.replace("_", " ")
                    vocabulary = Vocabulary(types, word)
                    self._samples += [(sample, vocabulary) for sample in dataset.of_class(name) if _teaches(sample)]
        if not any(sample.anomalous for sample, _ in self._samples):
            names = ", ".join(dataset.name for dataset in datasets)
            raise BadInputError(
                "images of defects to learn from", f"none in {names}", "name a labelled data set, or add --synthetic N"
            )

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int, /) -> TrainingExample:
        sample, vocabulary = self._samples[index]
        size = (self._size_px, self._size_px)
        try:
            pixels = decode(*image_bytes(sample), self._limits, self._size_px).pixels
            segmented = sample.has_pixel_truth
            mask = read_type_mask(sample, size, vocabulary.defect_types) if segmented else np.zeros(size, np.uint8)
        except FrameRejectedError as error:
            raise UnreadableExampleError(sample.name, shortened(error.detail)) from error
        except MaskError as error:
            raise UnreadableExampleError(
                sample.name, f"expected {error.expected}, got {shortened(error.got)}"
            ) from error
        except (OSError, ValueError) as error:
            raise UnreadableExampleError(sample.name, shortened(str(error))) from error
        return TrainingExample(pixels, mask, sample.anomalous, vocabulary, segmented)

    @cached_property  # the files of a data set take a while to read
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the files' bytes and of what the data sets say of them."""
        digest = hashlib.sha256(f"data sets {self._size_px} {self._limits!r}\n".encode())
        for sample, vocabulary in self._samples:
            said = (sample.name, sample.defect_types, sample.mask_above, sample.mask_types, vocabulary)
            digest.update(f"{said!r} {_content(sample.image)} {_content(sample.mask)}\n".encode())
        return digest.hexdigest()


def normal_images(datasets: Sequence[Dataset], classes: Collection[str] | None = None) -> list[Path]:
    """Return the image files of good parts that are kept for training."""
    _check_classes(datasets, classes)
    return [
        sample.image
        for dataset in datasets
        for sample in dataset.samples
        if sample.split == "train" and not sample.anomalous and (classes is None or sample.class_name in classes)
    ]


def _all_types(datasets: Sequence[Dataset]) -> tuple[str, ...]:
    types = tuple(dict.fromkeys(word for dataset in datasets for word in dataset.vocabulary()))
    return tuple(word for word in types if word != UNKNOWN) or types


def _teaches(sample: Sample) -> bool:
    """Good images for training are left for reference banks; the published protocol tunes on the test images."""
    return sample.split == "test" or sample.anomalous


def _content(path: Path | None) -> str:
    if path is None:
        return "-"
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return error.__class__.__name__  # it is named and left out when it is read; the run can still be told apart


def _check_classes(datasets: Sequence[Dataset], classes: Collection[str] | None) -> None:
    known = sorted({name for dataset in datasets for name in dataset.classes})
    unknown = [name for name in classes or () if name not in known]
    if unknown:
        got = ", ".join(printable(name) for name in unknown)
        raise BadInputError("classes of the data sets", got, f"choose from {', '.join(known)}")
