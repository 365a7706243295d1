"""Where a problem becomes one line on stderr and an exit code: 0 done, 1 a described problem, 2 wrong usage."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from inspector.domain.errors import InspectorError
from inspector.domain.text import printable, shortened


class Verbs(TyperGroup):
    """The root group of the command line."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb; an exception that is not meant for a person is a bug and keeps its traceback."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, where a closed pipe can still be handled
            return result
        except InspectorError as error:
            raise _failed(f"expected {error.expected}, got {shortened(error.got)}: {error.do}") from None
        except BrokenPipeError:
            # The reader has all it wanted (`| head`). Python flushes stdout once more when it ends: into nothing.
            _discard_stdout()
            raise typer.Exit(0) from None
        except OSError as error:
            raise _failed(_file_problem(error)) from None


def _file_problem(error: OSError) -> str:
    try:
        sys.stdout.flush()
    except OSError:  # stdout itself is what could not be written, and would fail again when Python ends
        _discard_stdout()
    if error.filename is None:  # known only to who opened it: a write to a disk that is full names no file
        return f"expected output that can be written, got {error.strerror or error}: check the room on the disk"
    problem = f"expected a file or folder that can be used, got {error.filename}: {error.strerror}"
    return f"{problem}: check the path, its rights and the room on the disk"


def _discard_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(problem: str) -> typer.Exit:
    # One line whatever was in it: names of files and records are quoted in problems, and line breaks by libraries.
    one_line = " ".join(problem.split())
    print("error:", printable(one_line), file=sys.stderr)
    return typer.Exit(1)
