"""What the trainer prints: one run in words, or a table of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inspector.apps import console
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun

_STYLES = {
    TrainerOutcome.PUBLISHED: "green",
    TrainerOutcome.REFUSED: "yellow",
    TrainerOutcome.ABANDONED: "dim",
    TrainerOutcome.FAILED: "red",
}


def say_run(run: TrainerRun, *, as_json: bool) -> None:
    """Print what came of a run."""
    if as_json:
        console.print_record(run)
    else:
        console.lines(list(_words(run)))


def print_runs(found: Sequence[TrainerRun], *, as_json: bool) -> None:
    """Print runs as a table, a line each."""
    if as_json:
        console.print_records(found)
        return
    made = console.table("ended", "run", "outcome", "from", "candidate", "corrections", "steps", "s", "why")
    for run in found:
        made.add_row(
            console.local_time(run.ended_at),
            run.run_id,
            console.cell(run.outcome.value, _STYLES[run.outcome]),
            run.parent_version[:12],
            (run.candidate_version or "-")[:12],
            str(run.corrections),
            str(run.steps),
            f"{run.tuning_s:.0f}",
            console.cell("; ".join(run.reasons) or "-"),
        )
    if found:
        console.print_table(made)
    else:
        console.remark("no run yet")


def _words(run: TrainerRun) -> Iterator[str]:
    candidate = "no candidate" if run.candidate_version is None else f"candidate {run.candidate_version}"
    yield f"run {run.run_id}: {run.outcome}, {candidate} from {run.parent_version[:12]}"
    yield from (f"  {reason}" for reason in run.reasons)
    learnt = ", ".join(f"{count} {name}" for name, count in run.examples.items())
    if learnt:
        yield f"learnt from {learnt} examples in {run.steps} steps, {run.tuning_s:.0f} s"
    if run.judged:
        yield f"judged by {', '.join(f'{count} {name}' for name, count in run.judged.items())} frames"
    if run.conflicts:
        yield f"{run.conflicts} frames on which people differ were left out: inspector feedback --conflicts"
    for product, types in run.offered_types.items():
        yield f"new types of product {product}, looked for once they are configured: {', '.join(types)}"
    if run.set_aside:
        yield f"set aside from now on, as their words contradict what is known: {', '.join(run.set_aside)}"
    if run.drifted:
        yield f"cameras that had drifted when it began: {', '.join(run.drifted)}"
    if run.to_look_at:
        yield "only the candidate alarms on these frames, taken for good; look, and say what they show:"
        yield from (f"  inspector feedback {frame_id}" for frame_id in run.to_look_at)
    yield from (f"left out: {line}" for line in run.left_out)
