"""What the layouts share: folders and the images in them, masks by the name of their image."""

from __future__ import annotations

import re
from pathlib import Path

from inspector.datasets.sample import UNKNOWN
from inspector.datasets.synonyms import Synonyms
from inspector.vision.image_file import list_images, printable

# Names in use for the images without a defect, whatever their case.
_GOOD_NAMES = frozenset({"good", "ok", "normal"})
_MASK_SUFFIX = re.compile(r"_mask$", re.IGNORECASE)


def is_good(folder: str) -> bool:
    """Tell whether images in a folder of this name have no defect."""
    return folder.casefold() in _GOOD_NAMES


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in ``folder`` by name, links to folders among them; hidden ones are left out."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def images_in(folder: Path) -> list[Path]:
    """Return the image files that lie in ``folder`` itself by name: no ``Thumbs.db``, no hidden files."""
    return [path for path in list_images(folder) if path.parent == folder] if folder.is_dir() else []


def class_folders(root: Path, is_class: str) -> list[Path]:
    """Return ``root`` if it holds one of the ``|``-separated folder names, else those of its folders that do."""
    names = is_class.split("|")
    candidates = [root] if any((root / name).is_dir() for name in names) else subfolders(root)
    return [folder for folder in candidates if any((folder / name).is_dir() for name in names)]


def type_of(folder: str, synonyms: Synonyms) -> str:
    """Return the vocabulary's word for the defect type a folder is named after."""
    return synonyms.canonical(printable(Path(folder)))


class Masks:
    """The mask files of one folder by the name of their image: ``STEM_mask.png``, or ``STEM.png`` as some sets have it."""

    def __init__(self, folder: Path) -> None:
        files = images_in(folder)
        self._files = {_stem(path): path for path in files if path.stem == _stem(path)}
        self._files |= {_stem(path): path for path in files if path.stem != _stem(path)}
        self._left = dict.fromkeys(files)

    def of(self, image: Path) -> Path | None:
        """Return the mask of ``image``, None if there is none."""
        mask = self._files.get(image.stem)
        if mask is not None:
            self._left.pop(mask, None)
        return mask

    @property
    def left(self) -> list[Path]:
        """Masks that no image has asked for."""
        return list(self._left)


def _stem(mask: Path) -> str:
    return _MASK_SUFFIX.sub("", mask.stem)


def types_or_unknown(types: list[str]) -> tuple[str, ...]:
    """Return ``types`` without repetition, or ``UNKNOWN`` alone where nothing is named."""
    return tuple(dict.fromkeys(types)) or (UNKNOWN,)
