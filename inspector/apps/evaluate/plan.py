"""What is to be measured: the units of a run, which images each is shown, and what each result hangs on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from math import ceil
from pathlib import Path
from typing import Literal

from inspector.datasets.reading import MAX_TYPES
from inspector.datasets.sample import UNKNOWN, Dataset, Sample
from inspector.domain.checks import check_number
from inspector.domain.errors import BadInputError
from inspector.domain.product import DefectSpec, ProductSettings
from inspector.domain.result import ScoreMode
from inspector.evaluation.unit_result import UnitKey

Resolution = Literal["model", "full"]
ObjectWord = Literal["class", "object"]
Files = list[list[object]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run measures. ``shots`` 0 is zero-shot, ``classes`` None takes all, seeds count from ``first_seed``.

    ``stream_defects``: see ``stream_of``.

    Raises:
        BadInputError: ``stream_defects`` is not 0.01 to 1.
    """

    shots: tuple[int, ...] = (0, 1, 2, 4, 8, 16)
    mutual: bool = False
    seeds: int = 3
    classes: tuple[str, ...] | None = None
    resolution: Resolution = "model"
    object_word: ObjectWord = "object"
    first_seed: int = 0
    stream_defects: float = 0.1

    def __post_init__(self) -> None:
        check_number("stream_defects", self.stream_defects, 0.01, 1)


def units_of(dataset: Dataset, asked: Asked) -> Iterator[UnitKey]:
    """Yield the units of one data set, class by class.

    Zero-shot is the same for every seed; shots and the order of the stream are not.

    Raises:
        BadInputError: a class was asked for that the data set has not.
    """
    for name in classes_of(dataset, asked):
        if 0 in asked.shots:
            yield UnitKey(dataset.name, name, ScoreMode.ZERO_SHOT)
        for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
            for shots in sorted(set(asked.shots) - {0}):
                yield UnitKey(dataset.name, name, ScoreMode.BANK, shots, seed)
            if asked.mutual:
                yield UnitKey(dataset.name, name, ScoreMode.MUTUAL, 0, seed)


def classes_of(dataset: Dataset, asked: Asked) -> tuple[str, ...]:
    """Return the classes to measure. Raises as ``units_of``."""
    if asked.classes is None:
        return dataset.classes
    if unknown := sorted(set(asked.classes) - set(dataset.classes)):
        raise BadInputError(
            f"classes of {dataset.name}", ", ".join(unknown), f"use some of {', '.join(dataset.classes)}"
        )
    return tuple(name for name in dataset.classes if name in asked.classes)


def product_name(key: UnitKey) -> str:
    """Return the product that stands for a class in the engine."""
    return f"{key.dataset}/{key.class_name}"


def product_of(dataset: Dataset, class_name: str, default: ProductSettings, asked: Asked) -> ProductSettings:
    """Return the product of a class: its own types, or those of ``default`` where its folders do not name any.

    Raises:
        BadInputError: more types than a mask can hold, or one whose name cannot stand in a prompt.
    """
    word = class_name.replace("_", " ") if asked.object_word == "class" else default.object_word
    types = named_types(dataset, class_name)
    if len(types) > MAX_TYPES:
        raise BadInputError(
            f"at most {MAX_TYPES} defect types in a class",
            f"{len(types)} in {class_name}",
            "merge some by --vocabulary",
        )
    defects = tuple(DefectSpec(name) for name in types) if types else default.defects
    # Zones are of the product's own pictures; how closely a frame is looked at is a way of scoring.
    return ProductSettings(object_word=word, defects=defects, tiles=default.tiles)


def named_types(dataset: Dataset, class_name: str) -> tuple[str, ...]:
    """Return the types that the class's folders name; none where they only say that something is wrong."""
    return tuple(name for name in dataset.vocabulary(class_name) if name != UNKNOWN)


def in_order_of(seed: int, samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples in an order that hangs on the seed and their names alone: the same on every machine.

    The first k of it are the shots, so that fewer shots are always some of the more.
    """
    return sorted(samples, key=lambda sample: hashlib.sha256(f"{seed}/{sample.name}".encode()).digest())


def stream_of(seed: int, samples: Sequence[Sample], most: float) -> list[Sample]:
    """Return a class's images as a camera sends them, in the seed's order: all test images, good ones in between.

    Test folders are half full of defects, as no line is, and where every second frame is defective nothing is usual. So
    good training images, of which nobody says that they are, come between, in turn and again as often as it takes for
    at most a share ``most`` of the frames before any point to be defective. Without such images the test images are it.
    """
    others = in_order_of(seed, [sample for sample in samples if sample.split == "train" and not sample.anomalous])
    between = cycle(others) if others else iter(())
    stream: list[Sample] = []
    defects = 0
    for sample in in_order_of(seed, [sample for sample in samples if sample.split == "test"]):
        defects += sample.anomalous
        missing = ceil(defects / most) - len(stream) - 1 if sample.anomalous else 0
        stream.extend(islice(between, max(0, missing)))
        stream.append(sample)
    return stream


def fingerprint(key: UnitKey, about: Mapping[str, object], product: ProductSettings, files: Files) -> str:
    """Return what identifies all that a unit is made from: weights and settings, words, and each image and mask."""
    words = {name: value for name, value in asdict(product).items() if name != "schema"}  # it changes no measurement
    document = {"unit": asdict(key), "about": about, "product": words, "files": files}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def file_states(samples: Sequence[Sample]) -> Files:
    """Return what identifies the samples of a class: what is known of each, its files by size and time of change.

    Reading gigabytes to find out that nothing changed would take longer than to measure some of the units.
    """
    return [
        [s.name, s.split, list(s.defect_types), s.mask_above, s.mask_types, _state(s.image), _state(s.mask)]
        for s in samples
    ]


def _state(path: Path | None) -> list[int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return []  # it is named when it is read
    return [found.st_size, found.st_mtime_ns, int(os.access(path, os.R_OK))]
