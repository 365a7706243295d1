"""The terminal: facts on stdout, remarks and progress on stderr, and no untrusted text that could act on either."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from inspector.domain.records import to_json
from inspector.domain.text import printable

# Where no terminal tells its width, lines go to a file or a pipe: wide enough that nothing there is cut at 80.
_PIPE_WIDTH = 200


class _QuietConsole(Console):
    """Raises BrokenPipeError as Python does, for the command line to end quietly; rich would exit with 1."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def stdout() -> Console:
    """Return the console for facts."""
    return _QuietConsole(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def stderr() -> Console:
    """Return the console for remarks, warnings and progress."""
    return _QuietConsole(stderr=True, width=None if sys.stderr.isatty() else _PIPE_WIDTH, highlight=False)


def safe(text: object) -> str:
    """Return ``text`` with every control, bidirectional or undecodable character written as an escape.

    Names of files, cameras and defects come from others; raw, they could move the cursor or rewrite a verdict.
    """
    return printable(str(text))


def cell(text: object, style: str = "") -> Text:
    """Return ``text`` for a table: escaped, and never read as rich's markup."""
    return Text(safe(text), style=style)


def verdict(label: str) -> Text:
    """Return a coloured verdict; the word says it too."""
    return cell(label, "bold red" if label == "anomalous" else "green")


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table in the house's style."""
    made = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column)
    return made


def remark(text: str, style: str = "") -> None:
    """Write one line to stderr."""
    stderr().print(cell(text, style), soft_wrap=True)


def print_json(value: object) -> None:
    """Write ``value`` to stdout as one line of JSON."""
    print(json.dumps(value, default=_plain), flush=True)


def print_record(record: object) -> None:
    """Write a record of the domain to stdout as one line of JSON; in ASCII, so that nothing in it steers a terminal."""
    print_json(json.loads(to_json(record)))


def print_records(records: Sequence[object]) -> None:
    """Write records of the domain to stdout as one JSON array on a line, as ``print_record`` does."""
    print_json([json.loads(to_json(record)) for record in records])


def print_table(made: Table) -> None:
    """Write a table to stdout."""
    stdout().print(made)


def local_time(moment: datetime) -> str:
    """Return a moment to the millisecond, in UTC and marked so: an operator compares it with other machines' logs."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class Meter:
    """A progress bar that may not be there; ``advance`` is safe to call either way."""

    def __init__(self, progress: Progress, task: int) -> None:
        self._progress = progress
        self._task = task

    def advance(self, steps: int = 1) -> None:
        """Count ``steps`` more."""
        self._progress.advance(self._task, steps)  # type: ignore[arg-type]  # rich's TaskID is a NewType of int

    def describe(self, text: str) -> None:
        """Change what stands beside the bar."""
        self._progress.update(self._task, description=safe(text))  # type: ignore[arg-type]  # as above


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Meter]:
    """Show a progress bar on stderr while the block runs, if stderr is a terminal; it leaves no trace."""
    console = stderr()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        yield Meter(shown, shown.add_task(safe(what), total=total))


@contextmanager
def status(what: str) -> Iterator[None]:
    """Say on stderr what is being done while the block runs, if stderr is a terminal; it leaves no trace."""
    console = stderr()
    if not console.is_terminal:
        yield
        return
    with console.status(cell(what)):
        yield


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"no JSON for {type(value).__name__}")


def lines(texts: Sequence[str]) -> None:
    """Write lines to stdout, escaped."""
    for text in texts:
        print(safe(text))
