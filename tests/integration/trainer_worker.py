"""The command line with a gate that lets everything pass, killed (SIGKILL) at one step of a trainer's run or at none.

STEP ARGUMENTS...: what a tiny model learns in one epoch is not what the tests are about.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import inspector.apps.trainer.attempt as attempt
import inspector.apps.trainer.one_run as one_run
import inspector.apps.trainer.outside as outside
import inspector.training.batch as batch
from inspector.cli import main
from inspector.domain.gate import GateDecision, GateLimits
from inspector.pipeline.gate_evidence import GateEvidence

IN_STEP = 5


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(owner: Any, name: str) -> None:
    real = getattr(owner, name)

    def then_dead(*given: Any, **named: Any) -> Any:
        real(*given, **named)
        die()

    setattr(owner, name, then_dead)


def die_while_tuning() -> None:
    loss, calls = batch.dapo_loss, iter(range(10**6))
    batch.dapo_loss = lambda *given: die() if next(calls) == IN_STEP else loss(*given)  # type: ignore[assignment]


def accept(evidence: GateEvidence, limits: GateLimits, seed: int) -> GateDecision:
    return GateDecision(True, (), evidence.current_version, evidence.candidate_version, limits, seed)


STEPS = {
    "none": lambda: None,
    "gathered": lambda: die_after(attempt, "gather"),
    "tuning": die_while_tuning,
    "tuned": lambda: die_after(one_run, "tune_candidate"),
    "judged": lambda: die_after(one_run, "judge_candidate"),
    "publishing": lambda: setattr(outside.release, "change_rollout", die),  # announced, and not yet offered
    "published": lambda: die_after(outside.release, "publish"),
    "recorded": lambda: die_after(one_run, "keep_record"),
}

if __name__ == "__main__":
    one_run.decide = accept
    STEPS[sys.argv.pop(1)]()
    main()
