"""The table of results: one line a row, kept in ``RESULTS.md``, with the day, commit and machine it was run at."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from cluster_of_three import Cluster
from findings import Kind
from matrix_rows import ROWS
from rich.table import Table
from scenario import Row, RowResult, run

from inspector.apps.console import cell, table

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
_ROOT = RESULTS.parent.parent.parent
_NOT_RUN, _OTHER_ROW = "not run", "of another definition of this row: "
_SIDE = ("lost", "duplicated")

_TEXT = """# The fault matrix: what was run, and what came of it

Written by `python tests/chaos/matrix.py` and by `tests/run.sh --long`. A row says when, where and at which commit it
was last run (`-dirty`: with changes that were not committed), how many of the faults and frames of its full size that
run had, and how long it took. `row` is a digest of the row's definition: a line that was run under another one says so.

- *lost*, *duplicates*, *other*: what `checker.py` counted against the truth keeper's log.
- *pause*: seconds, the longest silence of a partition, the fault itself included.
- *recovery*: seconds from the end of the fault (of a kill: from the kill) until the last partition committed again.
- *seconds*: of the whole row, from its topics to its verdict.

Brokers, Redis, inspectors, producer and checker share the machine, often with other work: times are upper bounds.

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
    seconds: str
    run: str
    row: str
    verdict: str

    @property
    def clean(self) -> bool:
        """Whether the row as it is defined now was run and nothing was wrong."""
        return self.verdict.startswith("clean")


def played(row: Row, cluster: Cluster, folder: Path, scale: float = 1.0) -> Line:
    """Play a row and return its line, whatever comes of it."""
    started_s, where = time.monotonic(), where_and_when(len(cluster.brokers))
    try:
        line = line_of(run(row, cluster, folder, scale), where)
    except Exception as error:
        # The rows after it are worth playing all the same; this one stands there as what it is.
        traceback.print_exc(file=sys.stderr)
        line = replace(
            _never_run(row), run=where, verdict=f"NOT CLEAN: the row broke off: {type(error).__name__}: {error}"[:400]
        )
    return replace(line, seconds=f"{time.monotonic() - started_s:.0f}")


def line_of(result: RowResult, where: str) -> Line:
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
        seconds="-",
        run=where,
        row=definition(result.row),
        verdict=("clean" if result.clean else f"NOT CLEAN: {wrong}") + (f"; {result.note}" if result.note else ""),
    )


def definition(row: Row) -> str:
    """Return a digest of everything that a row at full size is."""
    return hashlib.sha256(repr(replace(row, fault=row.fault(1.0))).encode()).hexdigest()[:8]  # type: ignore[arg-type]


def where_and_when(brokers: int) -> str:
    """Return day, commit, brokers and machine: of a run that begins now."""
    return f"{datetime.now(UTC):%Y-%m-%d}, {_commit()}, {brokers} broker{'s' if brokers > 1 else ''}, {_machine()}"


def update(path: Path, line: Line) -> None:
    """Put one line into the file; rows that were never run, or only as something else, stand there as such."""
    now = {row.name: _never_run(row) for row in ROWS}
    known = dict(now)
    for each in [*(read(path.read_text()) if path.exists() else ()), line]:
        if each.fault in now and each.verdict != _NOT_RUN:
            known[each.fault] = _marked(each, each.row == now[each.fault].row)
    path.write_text(_TEXT.format(table="\n".join(_markdown(known.values()))))


def _marked(line: Line, is_of_now: bool) -> Line:
    verdict = line.verdict.removeprefix(_OTHER_ROW)
    return replace(line, verdict=verdict if is_of_now else _OTHER_ROW + verdict)


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
    sizes = f"0 of {row.times}", f"0 of {row.frames}"
    return Line(row.name, "", *sizes, "", "", "", "", "", "", "", definition(row), _NOT_RUN)


def _markdown(lines: Iterable[Line]) -> Iterator[str]:
    names = [each.name for each in fields(Line)]
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for line in lines:
        yield f"| {' | '.join(text.replace('|', '/').replace(chr(10), ' ') for text in astuple(line))} |"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _commit() -> str:
    commit = _git("rev-parse", "--short", "HEAD")
    # The table itself is written while rows are run.
    changed = _git("status", "--porcelain", "--", ".", f":!{RESULTS.relative_to(_ROOT)}")
    return f"{commit or 'no commit'}{'-dirty' if changed else ''}"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _machine() -> str:
    facts = dict(
        (part.strip() for part in line.split(":", 1))
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if ":" in line
    )
    return f"{facts.get('model name', 'unknown processor')}, {os.cpu_count()} cores"
