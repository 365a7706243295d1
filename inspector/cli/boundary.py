"""Where a problem becomes one line on stderr and an exit code: 0 done, 1 a described problem, 2 wrong usage."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from inspector.domain.errors import InspectorError
from inspector.domain.text import printable


class Verbs(TyperGroup):
    """The root group of the command line."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb; an exception that is not meant for a person is a bug and keeps its traceback."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, where a closed pipe can still be handled
            return result
        except InspectorError as error:
            raise _failed(str(error)) from None
        except BrokenPipeError:
            # The reader has all it wanted (`| head`). Python flushes stdout once more when it ends: into nothing.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except OSError as error:
            if error.filename is None:
                raise
            problem = f"expected a file or folder that can be used, got {error.filename}: {error.strerror}"
            raise _failed(f"{problem}: check the path, its rights and the room on the disk") from None


def _failed(problem: str) -> typer.Exit:
    # One line whatever was in it: names of files and records are quoted in problems, and line breaks by libraries.
    one_line = " ".join(problem.split())
    print("error:", printable(one_line), file=sys.stderr)
    return typer.Exit(1)
