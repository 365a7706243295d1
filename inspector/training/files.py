"""Files that appear whole under their name or not at all, whenever the process dies."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write or replace a file. One process writes it, so the temporary name is fixed and a dead run's is overwritten.

    Raises:
        OSError: the disk or its rights.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # a disk that is full has no room for half a file
