"""VisA: ``CLASS/Data/{Images,Masks}/{Normal,Anomaly}``, ``CLASS/image_anno.csv``, ``split_csv/1cls.csv``.

Images are JPEG, masks PNG. ``1cls.csv`` (object,split,label,image,mask) says which image is for what,
``image_anno.csv`` (image,label,mask) which types it shows, several separated by commas. A mask's grey values are small
numbers, one for each type of the class (``visa_types.yaml``, after the authors' ``id2class.json``).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path

import yaml

from inspector.datasets.folders import class_folders, class_name, find_mask, images_in, inside
from inspector.datasets.layouts.layout import Found
from inspector.datasets.sample import UNKNOWN, Sample, Split
from inspector.datasets.synonyms import Synonyms
from inspector.domain.errors import BadInputError
from inspector.vision.image_file import printable

_SPLITS: Mapping[str, Split] = {"train": "train", "test": "test"}
_IMAGES = Path("Data", "Images")
_MASKS = Path("Data", "Masks", "Anomaly")


class VisaLayout:
    """The folder of the archive, or one of its classes, which finds ``split_csv`` beside itself."""

    name = "visa"
    looks_for = "CLASS/Data/Images/{Normal,Anomaly} with CLASS/Data/Masks/Anomaly and split_csv/1cls.csv"

    def fits(self, root: Path) -> bool:
        """See ``Layout``."""
        return bool(class_folders(root, _is_class))

    def read(self, root: Path, synonyms: Synonyms) -> Found:
        """See ``Layout``."""
        classes = class_folders(root, _is_class)
        samples = [sample for folder in classes for sample in _samples(folder, synonyms)]
        used = {sample.mask for sample in samples}
        stray = [mask for folder in classes for mask in images_in(folder / _MASKS) if mask not in used]
        if any(class_name(folder) not in _grey_values() for folder in classes):
            return Found(samples, stray)  # somebody's own photographs, laid out alike
        return Found(samples, stray, "VisA", "CC BY 4.0")


def _is_class(folder: Path) -> bool:
    return (folder / _IMAGES).is_dir()


def _samples(folder: Path, synonyms: Synonyms) -> Iterator[Sample]:
    name = class_name(folder)
    labels = _labels(folder)
    values = tuple((value, synonyms.canonical(word)) for value, word in _grey_values().get(name, {}).items())
    for image, split in _images(folder):
        if image.parent.name.casefold() == "normal":
            yield Sample(image, name, split)
            continue
        words = [synonyms.canonical(word) for word in labels.get(image.name, []) if word]
        types = tuple(dict.fromkeys(words)) or (UNKNOWN,)
        mask = find_mask(folder / _MASKS, image)
        yield Sample(image, name, split, types, mask, 0, values if mask is not None else ())


def _images(folder: Path) -> list[tuple[Path, Split]]:
    """Return the images of one class and their splits as listed; without a list, all there are, for testing."""
    listed = folder.absolute().parent / "split_csv" / "1cls.csv"
    if not listed.is_file():
        return [(path, "test") for kind in ("Anomaly", "Normal") for path in images_in(folder / _IMAGES / kind)]
    found = []
    for row in _rows(listed, ("object", "split", "image")):
        if row["object"] != folder.absolute().name:
            continue
        # Relative to the archive's folder; the class's own folder may be called otherwise.
        path, split = inside(folder, "/".join(Path(row["image"]).parts[1:])), _SPLITS.get(row["split"])
        if path is None or split is None:
            raise _wrong_row(listed, f"{row['split']}, {row['image']}")
        found.append((path, split))
    return sorted(found)


def _labels(folder: Path) -> dict[str, list[str]]:
    """Return the words for each image by its file name, which in Normal has a digit more than in Anomaly."""
    file = folder / "image_anno.csv"
    if not file.is_file():
        return {}
    rows = _rows(file, ("image", "label"))
    return {Path(row["image"]).name: [word.strip() for word in row["label"].split(",")] for row in rows}


def _rows(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInputError("a CSV file", f"{printable(file)}: {error}", "fetch it anew") from error
    if any(row.get(column) is None for row in rows for column in columns):
        raise _wrong_row(file, "a row without one of them")
    return rows


def _wrong_row(file: Path, got: str) -> BadInputError:
    return BadInputError("the columns of VisA's list", f"{printable(file)} with {got}", "fetch it anew")


@cache
def _grey_values() -> Mapping[str, Mapping[int, str]]:
    text = resources.files("inspector.datasets.layouts").joinpath("visa_types.yaml").read_text(encoding="utf-8")
    values: Mapping[str, Mapping[int, str]] = yaml.safe_load(text)
    return values
