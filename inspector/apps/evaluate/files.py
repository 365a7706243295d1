"""What an evaluation leaves on disk: each file whole or not there at all, units that a later run takes up again."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from inspector.apps.file_names import safe_name
from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json, to_json
from inspector.evaluation.unit_result import UnitKey, UnitResult


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` beside ``path`` and move it there, so that nobody ever reads half of it."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # mkstemp's files are for their owner only; a report is for whoever may read the folder.
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


class UnitStore:
    """One JSON file a unit below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, key: UnitKey, fingerprint: str) -> UnitResult | None:
        """Return the unit of an earlier run, or None where there is none, or one made from anything else."""
        try:
            found = from_json(UnitResult, self.path(key).read_bytes())
        except (FileNotFoundError, BadInputError):
            return None
        return found if (found.key, found.fingerprint) == (key, fingerprint) else None

    def save(self, unit: UnitResult) -> None:
        """Write one unit, whole."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.path(unit.key), to_json(unit) + b"\n")

    def path(self, key: UnitKey) -> Path:
        """Return where a unit lies: readable, and different for every unit whatever its folders are called."""
        digest = hashlib.sha256(repr(key).encode("utf-8", "surrogatepass")).hexdigest()[:8]
        words = f"{safe_name(key.dataset)[:40]}-{safe_name(key.class_name)[:40]}-{key.setting.label}-seed{key.seed}"
        return self._folder / f"{words}-{digest}.json"


def _umask() -> int:
    # The system has no call that only reads it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
