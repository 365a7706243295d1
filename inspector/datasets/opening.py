"""A folder -> the data set in it, whichever of the known layouts it has."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from inspector.datasets.folders import class_name
from inspector.datasets.layouts.known import known_sets
from inspector.datasets.layouts.layout import Layout
from inspector.datasets.layouts.mvtec import MvtecLayout
from inspector.datasets.layouts.normal_defect import NormalDefectLayout
from inspector.datasets.layouts.real_iad import RealIadLayout
from inspector.datasets.layouts.visa import VisaLayout
from inspector.datasets.sample import Dataset, Sample
from inspector.datasets.synonyms import Synonyms
from inspector.domain.errors import BadInputError
from inspector.vision.image_file import printable


def layouts() -> dict[str, Layout]:
    """Return the layouts by name, the particular before the general: a folder has the first that fits."""
    published = [MvtecLayout(known.name, f"the classes and types of {known.title}", known) for known in known_sets()]
    every: list[Layout] = [RealIadLayout(), VisaLayout(), *published, MvtecLayout(), NormalDefectLayout()]
    return {layout.name: layout for layout in every}


def open_dataset(path: Path, layout: str | None = None, synonyms: Synonyms | None = None) -> Dataset:
    """Return the data set in the folder ``path``: of all its classes, or the one class that the folder holds.

    ``layout`` is one of ``layouts()``; None takes the first that fits. No image is read.

    Raises:
        BadInputError: there is no such folder, it has not the layout, holds no images, or one of its lists cannot be
            used.
        OSError: a folder cannot be read.
    """
    if not path.is_dir():
        raise BadInputError("a folder of images", f"{printable(path)}, which is none", "check the path")
    chosen = _layout_of(path) if layout is None else _named(layout, path)
    found = chosen.read(path, Synonyms.built_in() if synonyms is None else synonyms)
    if not found.samples:
        raise BadInputError(f"images in the layout {chosen.name}", f"none in {printable(path)}", "check the folder")
    samples = tuple(_distinct([replace(sample, name=_name(sample.image, path)) for sample in found.samples]))
    return Dataset(found.name or class_name(path), chosen.name, path, found.licence, samples, tuple(found.stray_masks))


def _layout_of(path: Path) -> Layout:
    known = layouts()
    fitting = next((layout for layout in known.values() if layout.fits(path)), None)
    if fitting is None:
        looked_for = "; ".join(layout.looks_for for name, layout in known.items() if not _is_published(layout))
        raise BadInputError(
            "a data set", f"{printable(path)}, which looks like none", f"name a folder that holds one of: {looked_for}"
        )
    return fitting


def _is_published(layout: Layout) -> bool:
    return isinstance(layout, MvtecLayout) and layout.known_set is not None


def _named(name: str, path: Path) -> Layout:
    known = layouts()
    if name not in known:
        raise BadInputError("a known layout", repr(name[:100]), f"use one of {', '.join(known)}")
    if not known[name].fits(path):
        raise BadInputError(f"{known[name].looks_for}", f"{printable(path)} without", "check the folder or the layout")
    return known[name]


def _name(image: Path, root: Path) -> str:
    return printable(image.relative_to(root) if image.is_relative_to(root) else image)


def _distinct(samples: list[Sample]) -> list[Sample]:
    """Two names may print alike: one of a control character, one of its escape; the later gets a number."""
    seen: Counter[str] = Counter()
    distinct = []
    for sample in samples:
        seen[sample.name] += 1
        times = seen[sample.name]
        distinct.append(sample if times == 1 else replace(sample, name=f"{sample.name}#{times}"))
    return distinct
