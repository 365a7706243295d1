"""What takes long says so on a terminal, and only there."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from inspector.apps import console


@pytest.mark.parametrize("terminal", [True, False])
def test_a_status_is_for_terminals_and_goes_when_the_work_is_done(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(console, "stderr", lambda: Console(file=shown, force_terminal=terminal, width=60))
    with console.status("loading [bold]\x1b[2J"):
        pass
    assert ("loading [bold]\\x1b[2J" in shown.getvalue()) is terminal
    assert shown.getvalue().endswith("\x1b[2K") is terminal  # the line is erased
