"""Files and folders that appear whole under their name or not at all, whenever the process dies."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path


def write_whole(path: Path, data: bytes, *, alone: bool = False) -> None:
    """Write or replace a file, on the disk itself when this returns.

    ``alone``: no other process writes it, so the file beside it has a fixed name, and what a killed run left of one is
    overwritten. Otherwise each writer has a name of its own, and the last one to end wins.

    Raises:
        OSError: the disk or its rights.
    """
    temporary = path.with_name(f".{path.name}.part" if alone else f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # a disk that is full has no room for half a file


def write_folder_whole(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of these files and no others, in the place of one of that name.

    A process that dies between two renames leaves no folder of that name, and the old one beside it under a name that
    starts with a dot.

    Raises:
        OSError: the disk or its rights.
    """
    mark = uuid.uuid4().hex
    new, old = folder.with_name(f".{folder.name}.{mark}"), folder.with_name(f".{folder.name}.old-{mark}")
    try:
        new.mkdir(parents=True)
        for name, data in files.items():
            write_whole(new / name, data)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)
