"""File names made from other people's names: they stay in their folder, and no two are the same."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

_UNSAFE = re.compile(r"[^\w .+@=-]", re.ASCII)
_MAX_CHARS = 100
_PICTURES = (".jpg", ".png")


def safe_name(text: str) -> str:
    """Return ``text`` as one file name: no separator, no leading dot, ASCII, at most 100 characters."""
    name = _UNSAFE.sub("_", text).strip(" .")[:_MAX_CHARS].rstrip(" .")
    return name or "_"


def camera_folder(camera_id: str) -> str:
    """Return a folder name for a camera: readable, and different for every id."""
    digest = hashlib.sha256(camera_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    name = safe_name(camera_id)
    return name if name == camera_id else f"{name}-{digest}"


class OutputNames:
    """Gives each input a relative path of its own below an output folder, like the input's but safe.

    Two inputs whose paths differ get names that differ, also on a file system that ignores case. No folder is called
    like a picture: ``a.png`` is saved as ``a.jpg``, which must not meet the folder ``a.jpg``.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def give(self, path: Path) -> Path:
        """Return the next name for ``path``, without a suffix; called once for each input."""
        parts = [safe_name(part) for part in path.parts if part not in ("/", "..", ".")] or ["_"]
        folders = [f"{part}_" if part.casefold().endswith(_PICTURES) else part for part in parts[:-1]]
        parts = [*folders, safe_name(PurePosixPath(parts[-1]).stem)]
        name, number = Path(*parts), 1
        while str(name).casefold() in self._taken:
            number += 1
            name = Path(*parts[:-1], f"{parts[-1]}-{number}")
        self._taken.add(str(name).casefold())
        return name
