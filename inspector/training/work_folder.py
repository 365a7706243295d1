"""Where a run keeps what it needs to go on: who it is, its checkpoint, its history, its cache."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from inspector.domain.errors import BadInputError
from inspector.files import write_whole
from inspector.training.options import Step
from inspector.training.prepared import remove_cache

_RESTART = "repeat the command that began it, or begin anew with --restart"


class WorkFolder:
    """A folder of one run. ``description`` is all that decides the result, as names and values."""

    def __init__(self, path: Path, description: Mapping[str, object]) -> None:
        self._path = path
        self._description = {name: str(value) for name, value in description.items()}

    @property
    def run(self) -> str:
        """What tells this run from another: SHA-256 (hex) of the description."""
        return hashlib.sha256(json.dumps(self._description, sort_keys=True).encode()).hexdigest()

    @property
    def checkpoint(self) -> Path:
        """State of the run after its last checkpoint, see ``checkpoint``."""
        return self._path / "checkpoint.safetensors"

    @property
    def history(self) -> Path:
        """A line of JSON a step: ``epoch``, ``step``, ``total``, ``classification``, ``focal``, ``dice``."""
        return self._path / "history.jsonl"

    @property
    def validation(self) -> Path:
        """A line of JSON a validation, of runs that have some: ``step``, then metrics."""
        return self._path / "validation.jsonl"

    @property
    def cache(self) -> Path:
        """Folder of the embedded images."""
        return self._path / "cache"

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep the folder for this process while the block runs.

        A run that ended without a checkpoint has learnt nothing, and its folder is anybody's.

        Raises:
            BadInputError: it belongs to another run, or another process works in it.
            OSError: it cannot be written.
        """
        self._path.mkdir(parents=True, exist_ok=True)
        with _locked(self._path):
            self._check_owner()
            yield

    def _check_owner(self) -> None:
        file = self._path / "run.json"
        if not file.exists() or not self.checkpoint.exists():
            write_whole(file, json.dumps(self._description, indent=1).encode(), alone=True)
            return
        try:
            owner = json.loads(file.read_text("utf-8"))
        except ValueError as error:
            raise BadInputError("the work folder of a run", f"{file}, which is damaged", _RESTART) from error
        if not isinstance(owner, dict):
            raise BadInputError("the work folder of a run", f"{file}, which is something else", _RESTART)
        differing = [name for name in self._description if owner.get(name) != self._description[name]]
        if differing:
            was = ", ".join(f"{name} {str(owner.get(name, 'unknown'))[:40]}" for name in differing)
            now = ", ".join(f"{name} {self._description[name][:40]}" for name in differing)
            raise BadInputError(f"{self._path} to be of this run ({now})", f"one begun with {was}", _RESTART)

    def rewind_history(self, steps: int) -> None:
        """Forget the steps after the first ``steps``, which a resumed run makes again, and their validations."""
        kept = self.history.read_bytes().splitlines(keepends=True)[:steps] if self.history.exists() else []
        write_whole(self.history, b"".join(kept), alone=True)
        if self.validation.exists():
            lines = self.validation.read_bytes().splitlines(keepends=True)
            write_whole(self.validation, b"".join(line for line in lines if _step(line) <= steps), alone=True)

    def remember(self, step: Step) -> None:
        """Add a step to the history. What hangs on the machine stays out: the same run writes the same file."""
        names = ("epoch", "step", "total", "classification", "focal", "dice")
        with self.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps({name: getattr(step, name) for name in names}) + "\n")


def _step(line: bytes) -> float:
    """Return the step of a record; a line that a killed process left unfinished is of none that was kept."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however it ends
        except BlockingIOError as error:
            raise BadInputError(
                "a work folder that nobody works in", f"{folder}, where another run goes on", "wait for it"
            ) from error
        yield


def begin_anew(folder: Path) -> None:
    """Remove what an earlier run left in its work folder, and nothing else that may lie there.

    Raises:
        BadInputError: another process works in it.
        OSError: something cannot be removed.
    """
    if not folder.exists():
        return
    with _locked(folder):
        for name in ("run.json", "checkpoint.safetensors", "history.jsonl", "validation.jsonl"):
            (folder / name).unlink(missing_ok=True)


def clear_away(folder: Path) -> None:
    """Remove what only an unfinished run needs; its history stays."""
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    (folder / "run.json").unlink(missing_ok=True)
    remove_cache(folder / "cache")
