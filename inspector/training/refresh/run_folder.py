"""The folder of a run: what each step leaves appears whole, so that a step is either done or to be done again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json, to_json
from inspector.files import write_whole
from inspector.training.refresh.inputs import Inputs

T = TypeVar("T")

_INPUTS = "inputs.json"
_CLOSED = "closed"
_PLAN = "plan.json"
_KEPT = 20  # folders of runs that ended
MOST_DEATHS = 3


@dataclass(frozen=True, slots=True)
class _Starts:
    """How often a process has begun to work on a run that had come as far as ``progress``."""

    progress: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """The id that the samples' metadata promised, and the one that the run had after all was copied."""

    planned_id: str
    run_id: str


class RunFolder:
    """A run that began. It is open until it is closed; then only what people look at is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self._path.name

    @property
    def images(self) -> Path:
        """Images and masks, each under its SHA-256."""
        return self._path / "images"

    @property
    def tuning(self) -> Path:
        """The work folder of the tuning."""
        return self._path / "tuning"

    @property
    def candidate(self) -> Path:
        """The tuned weights."""
        return self._path / "candidate.safetensors"

    @property
    def picture(self) -> Path:
        """The gate's picture."""
        return self._path / "gate.png"

    @property
    def inputs(self) -> Inputs:
        """What the run learns from. Raises BadInputError if it is damaged."""
        return self.read("inputs", Inputs)

    def artefact(self, version: str) -> Path:
        """Where the bytes of a bank or calibration lie that was made for the candidate."""
        return self._path / "artefacts" / version

    def has(self, name: str) -> bool:
        """Whether a step has left its record."""
        return self._file(name).exists()

    def read(self, name: str, record_type: type[T]) -> T:
        """Return what a step left. Raises BadInputError if it is damaged, OSError if it is not there."""
        return from_json(record_type, self._file(name).read_bytes())

    def write(self, name: str, record: object) -> bytes:
        """Leave what a step made, whole, and return it as JSON."""
        data = to_json(record)
        write_whole(self._file(name), data, alone=True)
        return data

    def step(self, name: str, record_type: type[T], make: Callable[[], T]) -> T:
        """Return what the step ``name`` left, or do it and leave it."""
        if self.has(name):
            return self.read(name, record_type)
        made = make()
        self.write(name, made)
        return made

    def close(self) -> None:
        """End the run: remove what only an open one needs, and the folders of runs that ended long ago."""
        write_whole(self._path / _CLOSED, b"", alone=True)
        for name in ("images", "tuning", "artefacts"):
            shutil.rmtree(self._path / name, ignore_errors=True)
        self.candidate.unlink(missing_ok=True)
        ended = sorted(self._path.parent.glob(f"*/{_CLOSED}"), key=lambda closed: closed.stat().st_mtime)
        for closed in ended[:-_KEPT]:
            shutil.rmtree(closed.parent, ignore_errors=True)

    def discard(self) -> None:
        """Remove the run as if it had never begun."""
        shutil.rmtree(self._path, ignore_errors=True)

    def count_start(self, progress: str) -> int:
        """Note that a process begins to work on a run that has come as far as ``progress``; return how many died here.

        The count begins anew with any progress; ``ended_well`` takes the last start back.
        """
        before = self._starts()
        deaths = before.count if before.progress == progress else 0
        self.write("starts", _Starts(progress, deaths + 1))
        return deaths

    def ended_well(self) -> None:
        """Take the last start back: the process ends for a reason that is not the run's."""
        self._file("starts").unlink(missing_ok=True)

    def _starts(self) -> _Starts:
        try:
            return self.read("starts", _Starts)
        except (OSError, BadInputError):
            return _Starts()

    def _file(self, name: str) -> Path:
        return self._path / f"{name}.json"


def open_run(work: Path) -> RunFolder | None:
    """Return the run that began and has not ended, the latest of several. What cannot be read is removed."""
    # Not one that is only being gathered: its name comes last, when all of it is there.
    begun = [path for path in work.glob(f"*/{_INPUTS}") if not path.parent.name.startswith(".")]
    found = [path for path in begun if not (path.parent / _CLOSED).exists()]
    for path in sorted(found, key=lambda inputs: inputs.stat().st_mtime, reverse=True):
        folder = RunFolder(path.parent)
        try:
            _ = folder.inputs
        except BadInputError:  # of another release, or a disk that lied: nothing can be done with it
            shutil.rmtree(path.parent, ignore_errors=True)
        else:
            return folder
    return None


def begin_run(work: Path, gather: Callable[[Path], Inputs]) -> RunFolder:
    """Gather into a new folder, which counts as a run only when all is there. Raises as ``gather``."""
    work.mkdir(parents=True, exist_ok=True)
    fresh = work / ".new.begun"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    begun = RunFolder(fresh)
    inputs = gather(begun.images)
    begun.write("inputs", inputs)
    place = work / inputs.run_id
    shutil.rmtree(place, ignore_errors=True)  # the same inputs again, after a run of them was given up
    fresh.rename(place)
    return RunFolder(place)


def note_plan(work: Path, planned_id: str, run_id: str) -> None:
    """Write down what a run was planned as, so that the same plan can be known without copying anything."""
    write_whole(work / _PLAN, to_json(_Plan(planned_id, run_id)), alone=True)


def noted_plan(work: Path) -> tuple[str, str] | None:
    """Return the planned and the real id of the last run that was begun here, None where nobody knows."""
    try:
        found = from_json(_Plan, (work / _PLAN).read_bytes())
    except (OSError, BadInputError):
        return None
    return found.planned_id, found.run_id
