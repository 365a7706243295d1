"""The parent restarts a worker that crashed, and only that."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from inspector.apps.supervisor import EXIT_PROBLEM, EXIT_TRY_AGAIN, Supervisor, backoff_s


def test_back_off_doubles_up_to_half_a_minute() -> None:
    assert list(itertools.islice(backoff_s(), 7)) == [1, 2, 4, 8, 16, 30, 30]


@pytest.fixture
def restored_signals() -> object:
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.usefixtures("restored_signals")
def test_a_crash_is_restarted_and_a_described_problem_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inspector.apps.supervisor.backoff_s", lambda: itertools.repeat(0.01))
    count = tmp_path / "count"
    script = f"""
        import os, pathlib, sys
        path = pathlib.Path({str(count)!r})
        runs = len(path.read_text()) if path.exists() else 0
        path.write_text("x" * (runs + 1))
        if runs == 0: os.kill(os.getpid(), 9)
        sys.exit({EXIT_TRY_AGAIN} if runs == 1 else {EXIT_PROBLEM})
    """
    restarts: list[int] = []
    code = Supervisor(
        [sys.executable, "-c", textwrap.dedent(script)], lambda code, _delay_s: restarts.append(code)
    ).run()
    assert code == EXIT_PROBLEM
    assert restarts == [-signal.SIGKILL, EXIT_TRY_AGAIN]


PARENT = """
    import sys
    from inspector.apps.supervisor import Supervisor
    sys.exit(Supervisor([sys.executable, "-c", sys.argv[1]], lambda code, delay_s: None, grace_s=0.5).run())
"""
WORKER = """
    from inspector.apps.supervisor import stop_when_told
    stop = stop_when_told()
    print("ready", flush=True)
    stop.wait()
    print("finished", flush=True)
"""


def start() -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(PARENT), textwrap.dedent(WORKER)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    return parent


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_passed_on_and_the_worker_finishes(signum: signal.Signals) -> None:
    with start() as parent:
        parent.send_signal(signum)
        assert parent.wait(20) == 0
        assert parent.stdout is not None
        assert parent.stdout.read() == "finished\n"


def test_a_worker_does_not_outlive_a_killed_parent() -> None:
    with start() as parent:
        parent.kill()
        assert parent.stdout is not None
        assert parent.stdout.read() == "finished\n"  # end of file only when the worker is gone too


DEAF = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    while True: time.sleep(60)
"""


def test_a_worker_that_does_not_stop_is_killed_after_its_grace() -> None:
    command = [sys.executable, "-c", textwrap.dedent(PARENT), textwrap.dedent(DEAF)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.terminate()
        assert parent.wait(20) == EXIT_PROBLEM
