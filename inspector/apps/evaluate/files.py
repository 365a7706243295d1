"""The units of an evaluation on disk, which a later run takes up again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from inspector.apps.file_names import safe_name
from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json, to_json
from inspector.evaluation.unit_result import UnitKey, UnitResult
from inspector.files import write_whole


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
