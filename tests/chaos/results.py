"""The table of results: one line a row, kept in ``RESULTS.md``, each with the day and the commit it was run at."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from findings import Kind
from matrix_rows import ROWS
from rich.table import Table
from scenario import Row, RowResult

from inspector.apps.console import cell, table

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
_ROOT = RESULTS.parent.parent.parent
_NOT_RUN = "not run"
_SIDE = ("lost", "duplicated")

_TEXT = """# The fault matrix: what was run, and what came of it

Written by `python tests/chaos/matrix.py`. A row says when and at which commit it was last run, and how many of the
faults and frames of its full size that run had.

- *lost*, *duplicates*, *other*: what `checker.py` counted against the truth keeper's log.
- *pause*: seconds, the longest silence of a partition, the fault itself included.
- *recovery*: seconds from the end of the fault (of a kill: from the kill) until the last partition committed again.

Machine: {machine}. Brokers, Redis, inspectors, producer and checker share its cores, often with other work: times
are upper bounds.

{table}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table, as text."""

    fault: str
    how: str
    times: str
    frames: str
    lost: str
    duplicates: str
    other: str
    pause: str
    recovery: str
    run: str
    verdict: str

    @property
    def clean(self) -> bool:
        """Whether the row was run and nothing was wrong."""
        return self.verdict.startswith("clean")


def line_of(result: RowResult, brokers: int) -> Line:
    """Return the line of a row that was just run."""
    found = result.findings
    others = [f"{kind.value} {found[kind]}" for kind in Kind if kind.value not in _SIDE and found[kind]]
    others += [f"open {found.open_frames}"] if found.open_frames else []
    wrong = "; ".join([*result.problems, *([] if found.clean else ["see the counts"])])
    return Line(
        fault=result.row.name,
        how=result.how,
        times=f"{result.times} of {result.row.times}",
        frames=f"{found.frames} of {result.row.frames} ({result.row.frame_bytes // 1000} kB)",
        lost=str(found[Kind.LOST]),
        duplicates=str(found[Kind.DUPLICATED]),
        other=", ".join(others) or "0",
        pause=_seconds(result.timing.longest_pause_s),
        recovery=_seconds(result.timing.recovery_s),
        run=f"{datetime.now(UTC):%Y-%m-%d}, {_commit()}, {brokers} broker{'s' if brokers > 1 else ''}",
        verdict=("clean" if result.clean else f"NOT CLEAN: {wrong}") + (f"; {result.note}" if result.note else ""),
    )


def broken_line(row: Row, why: str) -> Line:
    """Return the line of a row that did not come to its end."""
    return replace(_never_run(row), verdict=f"NOT CLEAN: the row broke off: {why[:300]}")


def update(path: Path, line: Line) -> None:
    """Put one line into the file; rows that were never run stand there as such."""
    known = {row.name: _never_run(row) for row in ROWS}
    if path.exists():
        known.update({old.fault: old for old in read(path.read_text()) if old.fault in known})
    known[line.fault] = line
    path.write_text(_TEXT.format(machine=_machine(), table="\n".join(_markdown(known.values()))))


def read(text: str) -> Iterator[Line]:
    """Yield the lines of the table in a file's text."""
    for row in text.splitlines():
        cells = [each.strip() for each in row.strip("|").split("|")]
        if row.startswith("| ") and len(cells) == len(fields(Line)) and cells[0] != "fault":
            yield Line(*cells)


def as_table(lines: Iterable[Line]) -> Table:
    """Return the lines for a terminal."""
    made = table("fault", "times", "frames", "lost", "twice", "else", "pause s", "recovery s", "", title="fault matrix")
    for line in lines:
        counts = (line.times, line.frames, line.lost, line.duplicates, line.other, line.pause, line.recovery)
        colour = "green" if line.clean else "bold red"
        made.add_row(cell(line.fault), *(cell(each) for each in counts), cell(line.verdict, colour))
    return made


def _never_run(row: Row) -> Line:
    return Line(row.name, "", f"0 of {row.times}", f"0 of {row.frames}", "", "", "", "", "", "", _NOT_RUN)


def _markdown(lines: Iterable[Line]) -> Iterator[str]:
    names = [each.name for each in fields(Line)]
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for line in lines:
        yield f"| {' | '.join(text.replace('|', '/').replace(chr(10), ' ') for text in astuple(line))} |"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "no commit"


def _machine() -> str:
    facts = dict(
        (part.strip() for part in line.split(":", 1))
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if ":" in line
    )
    return f"{facts.get('model name', 'unknown processor')}, {os.cpu_count()} cores"
