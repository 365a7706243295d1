"""What is known of one image of a data set, and a data set as the samples it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inspector.vision.image_file import printable

GOOD = "good"
# The word for a defect that nobody says the kind of: "combined", "other", "anomalous", "bad" mean it.
UNKNOWN = "defect"

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and its truth.

    ``defect_types`` are words of the vocabulary: none for a good image, several where it shows several, ``UNKNOWN``
    where the kind is not known. ``mask`` is None for a good image (empty) and for a defect nobody drew; its grey
    values above ``mask_above`` are defective. ``mask_types`` says which grey value is which type, where the mask tells
    them apart. ``name`` is printable and unique in its data set; the image's path where none is given.
    """

    image: Path
    class_name: str
    split: Split
    defect_types: tuple[str, ...] = ()
    mask: Path | None = None
    mask_above: int = 0
    mask_types: tuple[tuple[int, str], ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", printable(self.image))

    @property
    def anomalous(self) -> bool:
        """Whether the image shows a defect."""
        return bool(self.defect_types)

    @property
    def has_pixel_truth(self) -> bool:
        """Whether every pixel's class is known: good images are normal all over."""
        return self.mask is not None or not self.anomalous


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples of one or more classes, in a stable order: by class, split, folder, file.

    ``licence`` is None where it is not known. ``stray_masks`` are mask files that belong to none of the images.
    """

    name: str
    layout: str
    root: Path
    licence: str | None
    samples: tuple[Sample, ...]
    stray_masks: tuple[Path, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({sample.class_name for sample in self.samples}))

    def of_class(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of one class."""
        return tuple(sample for sample in self.samples if sample.class_name == name)

    def vocabulary(self, class_name: str | None = None) -> tuple[str, ...]:
        """Return the defect types of one class, or of all, in order of first appearance.

        ``UNKNOWN`` is among them only where no defect has a named type: beside named ones it would mean all of them.
        """
        samples = self.samples if class_name is None else self.of_class(class_name)
        types = dict.fromkeys(word for sample in samples for word in sample.defect_types)
        named = tuple(word for word in types if word != UNKNOWN)
        return named or tuple(types)
