"""Runs one command as a person would, and looks at what they would see."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

from typer.testing import CliRunner, Result

from inspector.cli import app


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), env=env, prog_name="inspector")


@dataclass(frozen=True)
class Ended:
    """How a process of its own ended."""

    exit_code: int
    stdout: str
    stderr: str
    exception: None = None

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def run_alone(*arguments: str, env: dict[str, str] | None = None) -> Ended:
    """Run a command in a process of its own: what it says when it ends counts too."""
    done = subprocess.run(
        [sys.executable, "-m", "inspector", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        timeout=120,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def one_line_problem(result: Result | Ended) -> str:
    """Return the one line that a person reads: expected, got, what to do; exit code 1, nothing else on stderr."""
    assert result.exit_code == 1, (result.output, result.exception)
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: expected ")
    assert ", got " in lines[0]
    assert ": " in lines[0].partition(", got ")[2], "it does not say what to do"
    return lines[0]
