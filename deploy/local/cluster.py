"""Starting and stopping a whole set of services, or one of its servers."""

from __future__ import annotations

import contextlib
import fcntl
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nodes
import plan as plans
import process
from nodes import Node
from plan import Plan
from process import ServiceError

START_LIMIT_S = 90.0
# Brokers that share one quorum cannot all leave it politely, so the last ones are killed. Nothing is lost by it: what
# the operating system has taken from a process survives that process.
STOP_GRACE_S = 6.0
ACTIONS = ("start", "stop", "kill", "pause", "resume")


def up(folder: Path, broker_count: int | None) -> Plan:
    """Starts what is not running and returns when everything answers.

    Raises:
        ServiceError: a server did not start; what this call started is stopped again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder):
        plan = plans.load(folder)
        if plan is None:
            plan = plans.make(broker_count or 1)
            plans.save(plan, folder)
        elif broker_count not in (None, len(plan.brokers)):
            raise ServiceError(
                f"expected {broker_count} broker(s), but {folder} holds the data of {len(plan.brokers)}; "
                "name another folder or delete this one"
            )
        _start([node for node in nodes.nodes(plan, folder) if process.living_pid(node.record) is None], plan)
        _await(nodes.nodes(plan, folder), plan)
        return plan


def down(folder: Path) -> None:
    """Stops what `up` started in `folder` and keeps the data. Does nothing where nothing runs."""
    if not (folder / "plan.json").exists():
        return
    with _one_at_a_time(folder):
        plan = plans.load(folder)
        if plan is not None:
            process.stop([node.record for node in nodes.nodes(plan, folder)], STOP_GRACE_S)


def act(folder: Path, action: str, name: str) -> None:
    """Does one of ACTIONS to one server; `start` returns when it answers.

    Raises:
        ServiceError: no such services or server, or it did not start.
    """
    plan = plans.load(folder)
    if plan is None:
        raise ServiceError(f"expected services in {folder}, found none; run deploy/local/up {folder}")
    named = {node.name: node for node in nodes.nodes(plan, folder)}
    if name not in named:
        raise ServiceError(f"expected one of {', '.join(named)}, got {name!r}")
    node = named[name]
    actions: dict[str, Callable[[], object]] = {
        "start": lambda: _start_one(node, plan),
        "stop": lambda: process.stop([node.record], STOP_GRACE_S),
        "kill": lambda: process.kill(node.record),
        "pause": lambda: process.send(node.record, signal.SIGSTOP),
        "resume": lambda: process.send(node.record, signal.SIGCONT),
    }
    with _one_at_a_time(folder):
        actions[action]()


def _start_one(node: Node, plan: Plan) -> None:
    if process.living_pid(node.record) is None:
        _start([node], plan)
    _await([node], plan)


def _start(missing: list[Node], plan: Plan) -> None:
    """Launches servers and waits for them; on any failure, Ctrl-C included, stops exactly these."""
    try:
        for node in missing:
            try:
                nodes.launch(node, plan)
            except FileNotFoundError as absent:
                raise ServiceError(f"expected the program {absent.filename!r}; run deploy/setup.sh") from absent
        _await(missing, plan)
    except BaseException:
        process.stop([node.record for node in missing], STOP_GRACE_S)
        raise


def _await(waiting: list[Node], plan: Plan) -> None:
    end = time.monotonic() + START_LIMIT_S
    waiting = list(waiting)
    while waiting:
        for node in list(waiting):
            if nodes.answers(node, plan):
                waiting.remove(node)
            elif process.living_pid(node.record) is None:
                raise ServiceError(_with_log(node, "ended while it was starting"))
            elif time.monotonic() > end:
                raise ServiceError(_with_log(node, f"did not answer within {START_LIMIT_S:.0f} s"))
        time.sleep(process.POLL_S)


def _with_log(node: Node, what: str) -> str:
    lines = node.log.read_text(errors="replace").splitlines()[-15:] if node.log.exists() else []
    return "\n".join([f"{node.name} {what}; the end of {node.log}:", *(f"    {line}" for line in lines)])


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two calls on one folder take turns, so that neither starts what the other is starting."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(work: Callable[[], None]) -> None:
    """Runs a command: a ServiceError becomes one message and exit status 1, SIGTERM unwinds like Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        work()
    except ServiceError as problem:
        sys.exit(f"{Path(sys.argv[0]).name}: {problem}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
