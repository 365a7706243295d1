"""What the layouts share: folders and the images in them, masks by the name of their image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from inspector.datasets.synonyms import Synonyms
from inspector.domain.errors import BadInputError
from inspector.vision.image_file import list_images, printable

# Names in use for the images without a defect, whatever their case.
_GOOD_NAMES = frozenset({"good", "ok", "normal"})
_MASK_STEMS = ("{}_mask", "{}")
_LOSSY = (".jpg", ".jpeg")
_MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", *_LOSSY)


def is_good(folder: str) -> bool:
    """Tell whether images in a folder of this name have no defect."""
    return folder.casefold() in _GOOD_NAMES


def type_of(folder: Path, synonyms: Synonyms) -> str:
    """Return the vocabulary's word for the defect type that a folder is named after."""
    return synonyms.canonical(printable(Path(folder.name)))


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in ``folder`` by name, links to folders among them; hidden ones are left out."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def images_in(folder: Path) -> list[Path]:
    """Return the image files that lie in ``folder`` itself by name: no ``Thumbs.db``, no hidden files."""
    return [path for path in list_images(folder) if path.parent == folder] if folder.is_dir() else []


def class_folders(root: Path, is_class: Callable[[Path], bool]) -> list[Path]:
    """Return ``root`` if it is a class, else those of its folders that are.

    Raises:
        BadInputError: two of them print alike, one with a control character and one with its escape, and would be one.
    """
    if is_class(root):
        return [root]
    folders = [folder for folder in subfolders(root) if is_class(folder)]
    (name, times), *_ = Counter(map(class_name, folders)).most_common(1) or [("", 0)]
    if times > 1:
        raise BadInputError("classes that can be told apart", f"{times} folders that print as {name}", "rename them")
    return folders


def class_name(folder: Path) -> str:
    """Return the name of the class in ``folder``; a folder named ``.`` is called what it is really called."""
    return printable(Path((folder if folder.name else folder.absolute()).name))


def find_mask(folder: Path, image: Path) -> Path | None:
    """Return the mask of ``image`` in ``folder``: ``STEM_mask.png``, or ``STEM.png`` as some sets have it."""
    candidates = (folder / f"{s.format(image.stem)}{suffix}" for s in _MASK_STEMS for suffix in _MASK_SUFFIXES)
    return next((path for path in candidates if path != image and path.is_file()), None)


def lowest_defective(mask: Path | None) -> int:
    """Return the grey value above which a pixel is defective: a JPEG's black is not quite black beside its white."""
    return 127 if mask is not None and mask.suffix.lower() in _LOSSY else 0


def inside(folder: Path, relative: str) -> Path | None:
    """Return the path that a file of a data set names below ``folder``, None where it would lead out of it."""
    path = PurePosixPath(relative)
    if not relative or path.is_absolute() or ".." in path.parts or "\0" in relative:
        return None
    return folder / path
