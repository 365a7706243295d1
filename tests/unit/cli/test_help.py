from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from command_line import run

from inspector import __version__
from inspector.apps.ablate.variants import GROUPS
from inspector.cli import app
from inspector.datasets.opening import layouts

# Not pydantic: typer takes it where it is installed, for options with choices.
HEAVY = ("torch", "cv2", "kafka", "redis", "pydantic_settings", "open_clip", "numpy", "structlog")


def commands(group: Any, *path: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)


COMMANDS = list(commands(typer.main.get_command(app)))


def test_every_verb_of_the_design_is_there() -> None:
    verbs = {path[0] for path in COMMANDS}
    line = "produce inspect alerts results enroll calibrate topics doctor weights config reconcile"
    assert {*line.split(), "score", "schema", "feedback", "serve", "trainer"} <= verbs
    assert {("weights", "show"), ("weights", "verify"), ("topics", "create"), ("topics", "check")} <= set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_shows_an_example_that_the_command_line_accepts_the_name_of(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert f"Example: inspector {path[0]}" in text


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"], ["--version"]])
def test_help_waits_for_no_heavy_library(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom inspector.cli import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("path", [("dataset", "check"), ("evaluate",), ("ablate",)], ids=" ".join)
def test_help_names_every_layout(path: tuple[str, ...]) -> None:
    text = run(*path, "--help").stdout
    assert [name for name in layouts() if name not in text] == []


def test_help_names_every_group_of_the_ablation() -> None:
    text = run("ablate", "--help").stdout
    assert [name for name in GROUPS if name not in text] == []


def test_version() -> None:
    assert run("--version").stdout == f"inspector {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["score"],
        ["produce", "sim:plate"],
        ["results", "cam1", "--last", "0"],
        ["enroll", "cam1", "x", "--shots", "2"],
        ["alerts", "--follow", "--last", "3"],
        ["schema"],
        ["score", "x", "--format", "xml"],
        ["score", "x", "--format", "csv"],
        ["produce", "folder", "--camera", "c", "--truth-dir", "truth"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_says_how_to_get_help(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: inspector" in result.stderr
    assert result.stdout == ""
