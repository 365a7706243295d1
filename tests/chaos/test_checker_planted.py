"""The checker finds what is planted, and finds nothing wrong with the same treatment of the worker as it ships."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from findings import Findings, Kind
from local_services import Services
from small_line import SESSION_TIMEOUT_MS, SmallLine, small_line

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

_REJECTED = range(3, 10_000, 7)


def straight(line: SmallLine, *options: str) -> None:
    """One worker from the beginning to the end."""
    line.publish(200)
    line.start("a", *options)
    line.line.wait_drained()


def killed(line: SmallLine, *options: str) -> None:
    """One worker that is killed once where its options say, and started again by its supervisor."""
    line.publish(240, rejected=_REJECTED, anomalous_only=True)
    line.start("a", *options)
    line.wait_acted("a")
    line.line.wait_drained()


def rejoined(line: SmallLine, *options: str) -> None:
    """Two workers; an idle one is stopped beyond its session, while the other serves all, and goes on."""
    victim = line.start("victim", *options)
    line.start("other", *options)
    line.publish(160)
    line.line.wait_drained()
    pid = line.worker_pid(victim)
    os.kill(pid, signal.SIGSTOP)
    line.publish(240, anomalous_only=True)
    line.line.wait_drained()
    os.kill(pid, signal.SIGCONT)
    time.sleep(SESSION_TIMEOUT_MS / 1000)  # it learns that it is out, and joins
    line.publish(80)
    line.line.wait_drained()


def taken_over(line: SmallLine, *options: str) -> None:
    """A worker stops itself with a scored batch in hand; another takes its place; the first one goes on."""
    line.publish(400, anomalous_only=True)
    victim = line.start("victim", *options)
    line.line.wait_lag(390)
    pid = line.worker_pid(victim)
    line.wait_stopped(pid)
    line.start("other", *options)
    line.line.wait_drained()
    os.kill(pid, signal.SIGCONT)
    time.sleep(SESSION_TIMEOUT_MS / 1000)
    line.publish(80)
    line.line.wait_drained()


@dataclass(frozen=True)
class Case:
    """A bug, the treatment under which it shows, and as what it shows."""

    bug: str
    found: Kind
    treatment: Callable[..., None] = straight
    options: tuple[str, ...] = ()


QUICK = [
    Case("ordered_by_arrival", Kind.OUT_OF_ORDER),
    Case("redis_after_commit", Kind.MISSING_RESULT, killed, ("--act", "kill:committed:5")),
    Case("dead_letter_outside", Kind.DUPLICATED, killed, ("--act", "kill:sent:5")),
]
SLOW = [
    Case("auto_commit", Kind.LOST, killed, ("--act", "kill:scored:5", "--score-ms", "200")),
    Case("futures_unchecked", Kind.LOST, straight, ("--plant", "expired_send")),
    Case("abort_and_reuse", Kind.LOST, killed, ("--plant", "stale_commit", "--act", "kill:committed:3")),
    Case("no_reseek", Kind.DUPLICATED, rejoined, ("--plant", "range_assignor", "--plant", "rejoins_first")),
    Case("unfenced", Kind.OVERWRITTEN, taken_over, ("--plant", "stopped_before_storing")),
    Case("weights_mid_batch", Kind.MIXED_WEIGHTS),
    Case("swapped_verdicts", Kind.WRONG_VERDICT),
]


def both(services: Services, directory: Path, case: Case) -> tuple[Findings, Findings]:
    """Treat a worker with the bug and one without alike, at the same time; return what was found with and without."""
    number = uuid.uuid4().int >> 80  # two prefixes in sequence have two Redis databases

    def judge(name: str, prefix: str, *plant: str) -> Findings:
        with small_line(services, directory / name, prefix) as line:
            case.treatment(line, *case.options, *plant)
            return line.check()

    with ThreadPoolExecutor(2) as pool:
        planted = pool.submit(judge, "planted", f"t-{number:012x}-", "--plant", case.bug)
        shipped = pool.submit(judge, "shipped", f"t-{number + 1:012x}-")
        return planted.result(), shipped.result()


def assert_told_apart(services: Services, directory: Path, case: Case) -> None:
    planted, shipped = both(services, directory, case)
    print(f"\n{case.bug}: {planted.summary()}")
    for kind, examples in planted.examples.items():
        print(f"  {kind.value}: {examples[0]}")
    print(f"  the same without it: {shipped.summary()}")
    assert planted[case.found] > 0, planted.summary()
    assert shipped.clean, f"{shipped.summary()} {shipped.examples}"
    assert shipped.frames > 0


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.bug)
def test_a_planted_bug_is_found_and_the_worker_as_it_ships_is_clean(
    services: Services, tmp_path: Path, case: Case
) -> None:
    assert_told_apart(services, tmp_path, case)


@pytest.mark.long
@pytest.mark.parametrize("case", SLOW, ids=lambda case: case.bug)
def test_a_planted_bug_that_takes_longer_is_found_and_the_worker_as_it_ships_is_clean(
    services: Services, tmp_path: Path, case: Case
) -> None:
    assert_told_apart(services, tmp_path, case)
