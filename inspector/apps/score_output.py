"""What ``inspector score`` writes: rows as JSON, JSON Lines or CSV, overlays and masks."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TextIO

from inspector.apps.file_names import OutputNames
from inspector.domain.defect import Defect
from inspector.domain.outcome import Evidence
from inspector.domain.records import to_json

Format = Literal["json", "jsonl", "csv"]
Summary = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """One row. ``error`` is set, and the rest empty, where the image could not be scored.

    ``overlay`` and ``mask`` are paths relative to the output folder; only anomalous images have them, and a mask only
    where a region was found.
    """

    file: str
    pred_label: str | None = None
    anomaly_score: float | None = None
    image_threshold: float | None = None
    mode: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    defects: tuple[Defect, ...] = ()
    overlay: str | None = None
    mask: str | None = None
    error: str | None = None


class Writer(Protocol):
    """Takes rows as they come, and the summary at the end."""

    def row(self, scored: ScoredFile) -> None:
        """Write one row."""
        ...

    def end(self, summary: Summary) -> None:
        """Write what follows the rows."""
        ...


class JsonWriter:
    """``{"results": [...], "summary": {...}}``, row by row."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._separator = '{"results": [\n'

    def row(self, scored: ScoredFile) -> None:
        """See ``Writer``."""
        self._file.write(self._separator + to_json(scored).decode())
        self._separator = ",\n"

    def end(self, summary: Summary) -> None:
        """See ``Writer``."""
        opened = self._separator if self._separator.startswith("{") else "\n"
        self._file.write(f'{opened}], "summary": {json.dumps(summary)}}}\n')


class JsonLinesWriter:
    """One row a line; no summary, which would be a line of another kind."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def row(self, scored: ScoredFile) -> None:
        """See ``Writer``."""
        self._file.write(to_json(scored).decode() + "\n")

    def end(self, summary: Summary) -> None:
        """See ``Writer``."""


class CsvWriter:
    """One row an image; its defects in one column as ``type:severity`` separated by semicolons."""

    _COLUMNS = (
        "file", "pred_label", "anomaly_score", "image_threshold", "mode", "width_px", "height_px",
        "defects", "overlay", "mask", "error",
    )  # fmt: skip

    def __init__(self, file: TextIO) -> None:
        self._rows = csv.writer(file)
        self._rows.writerow(self._COLUMNS)

    def row(self, scored: ScoredFile) -> None:
        """See ``Writer``."""
        defects = ";".join(f"{defect.defect_type}:{defect.severity}" for defect in scored.defects)
        values = {name: getattr(scored, name) for name in self._COLUMNS} | {"defects": defects}
        self._rows.writerow(["" if value is None else value for value in values.values()])

    def end(self, summary: Summary) -> None:
        """See ``Writer``."""


_WRITERS: Mapping[Format, type[JsonWriter | JsonLinesWriter | CsvWriter]] = {
    "json": JsonWriter,
    "jsonl": JsonLinesWriter,
    "csv": CsvWriter,
}


class OutputFolder:
    """``results.FORMAT``, ``overlays/`` and ``masks/`` in one folder."""

    def __init__(self, folder: Path, writer: Writer) -> None:
        self._folder = folder
        self._names = OutputNames()
        self.writer = writer

    def save(self, name: Path, evidence: Evidence) -> tuple[str | None, str | None]:
        """Save the pictures of the image called ``name``; return their paths relative to the folder."""
        own = self._names.give(name)
        return (
            self._save(Path("overlays", own.parent, own.name + ".jpg"), evidence.overlay),
            self._save(Path("masks", own.parent, own.name + ".png"), evidence.mask),
        )

    def _save(self, relative: Path, data: bytes | None) -> str | None:
        if data is None:
            return None
        path = self._folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return relative.as_posix()


@contextmanager
def output_folder(folder: Path, file_format: Format) -> Iterator[OutputFolder]:
    """Yield an existing folder as output; its results file appears whole when the block ends well, or not at all.

    Raises:
        OSError: the folder cannot be written.
    """
    unfinished = folder / f".results.{file_format}.{os.getpid()}"
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            yield OutputFolder(folder, _WRITERS[file_format](file))
        unfinished.replace(folder / f"results.{file_format}")
    finally:
        unfinished.unlink(missing_ok=True)
