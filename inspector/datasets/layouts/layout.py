"""What a layout is: how to recognise a folder of it, and how to read its samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inspector.datasets.sample import Sample
from inspector.datasets.synonyms import Synonyms


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in a folder: samples, masks without an image, and what the data set is, where it is a known one."""

    samples: list[Sample]
    stray_masks: list[Path]
    name: str | None = None
    licence: str | None = None


class Layout(Protocol):
    """One way to lay out a data set."""

    @property
    def name(self) -> str:
        """What ``--layout`` calls it."""
        ...

    @property
    def looks_for(self) -> str:
        """Its folders in words, for a person whose folder is none of it."""
        ...

    def fits(self, root: Path) -> bool:
        """Tell whether ``root`` is laid out so."""
        ...

    def read(self, root: Path, synonyms: Synonyms) -> Found:
        """Return what lies in ``root``.

        Raises:
            BadInputError: a file that says what is where cannot be used.
            OSError: a folder cannot be read.
        """
        ...
