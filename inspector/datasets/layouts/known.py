"""The published data sets in MVTec AD's layout, recognised by their classes and types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from inspector.datasets.folders import is_good, subfolders, type_of
from inspector.datasets.synonyms import Synonyms

Words = Callable[[Path, Synonyms], tuple[str, ...]]
_NUMBER = re.compile(r"^\d\d(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class KnownSet:
    """One of ``known.yaml``: ``classes`` maps a class to the folder names of its types.

    ``mask_suffix`` (``_mask`` or nothing) tells two sets of the same classes apart; None where it does not matter.
    ``several`` are folders whose name stands for several types.
    """

    name: str
    title: str
    licence: str
    classes: Mapping[str, frozenset[str]]
    several: Mapping[str, tuple[str, ...]]
    mask_suffix: str | None = None

    def holds(self, folders: Sequence[Path]) -> bool:
        """Tell whether class ``folders`` are of this set: no class and no type that it does not have.

        Names of classes alone would not do: anybody's folder may be called ``screw``.
        """
        found = [(_NUMBER.sub("", folder.name), _types_in(folder)) for folder in folders]
        return (
            any(types for _, types in found)
            and all(types <= self.classes.get(name, frozenset()) for name, types in found)
            and (self.mask_suffix is None or any(self._masks_fit(folder) for folder in folders))
        )

    def words(self, folder: Path, synonyms: Synonyms) -> tuple[str, ...]:
        """Return the vocabulary's words for the type or types that a folder is named after."""
        names = self.several.get(folder.name)
        return one_word(folder, synonyms) if names is None else tuple(synonyms.canonical(name) for name in names)

    def _masks_fit(self, folder: Path) -> bool:
        masks = (path for drawn in subfolders(folder / "ground_truth") for path in sorted(drawn.glob("*.png")))
        first = next(masks, None)
        return first is not None and first.stem.endswith("_mask") == (self.mask_suffix == "_mask")


def one_word(folder: Path, synonyms: Synonyms) -> tuple[str, ...]:
    """Return the vocabulary's word for the type that a folder is named after."""
    return (type_of(folder, synonyms),)


@cache
def known_sets() -> tuple[KnownSet, ...]:
    """Return the sets of ``known.yaml``."""
    text = resources.files("inspector.datasets.layouts").joinpath("known.yaml").read_text(encoding="utf-8")
    return tuple(_known_set(name, entry) for name, entry in yaml.safe_load(text).items())


def _known_set(name: str, entry: Mapping[str, Any]) -> KnownSet:
    return KnownSet(
        name,
        entry["title"],
        entry["licence"],
        {one: frozenset(types) for one, types in entry["classes"].items()},
        {folder: tuple(types) for folder, types in entry.get("several", {}).items()},
        entry.get("mask_suffix"),
    )


def _types_in(folder: Path) -> set[str]:
    return {one.name for one in subfolders(folder / "test") if not is_good(one.name)}
