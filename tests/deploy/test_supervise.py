"""deploy/supervise.sh: signals end the command first, and its status is the script's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from local_services import ROOT

SCRIPT = 'source deploy/supervise.sh; trap "echo script done" EXIT; supervise "$@"'
COMMAND = """
import sys
try:
    print("ready", flush=True)
    sys.stdin.read()
except KeyboardInterrupt:
    print("command done", flush=True)
    sys.exit(7)
"""


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", "-euc", SCRIPT, "bash", *command],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("to_the_group", [True, False], ids=["Ctrl-C", "TERM to the script"])
def test_the_command_cleans_up_before_the_script_does(tmp_path: Path, to_the_group: bool) -> None:
    program = tmp_path / "command.py"
    program.write_text(COMMAND)
    with start("python3", str(program)) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "ready\n"
        if to_the_group:
            os.killpg(script.pid, signal.SIGINT)
        else:
            script.send_signal(signal.SIGTERM)
        assert script.stdout.read() == "command done\nscript done\n"
        assert script.wait(timeout=30) == 7


def test_a_second_ctrl_c_costs_neither_the_status_nor_the_cleaning_up() -> None:
    ends_at_once = "trap 'trap \"\" INT; exit 7' INT; echo ready; while :; do read -r -t 0.01 || true; done"
    for attempt in range(40):
        with start("bash", "-c", ends_at_once) as script:
            assert script.stdout is not None
            assert script.stdout.readline() == "ready\n"
            os.killpg(script.pid, signal.SIGINT)
            time.sleep(attempt * 1e-4)  # each attempt meets another moment of the command's end
            with contextlib.suppress(ProcessLookupError):
                os.killpg(script.pid, signal.SIGINT)
            assert script.stdout.read() == "script done\n"
            assert script.wait(timeout=30) == 7


@pytest.mark.parametrize("status", [0, 3])
def test_the_status_is_the_commands(status: int) -> None:
    with start("bash", "-c", f"exit {status}") as script:
        assert script.wait(timeout=30) == status
