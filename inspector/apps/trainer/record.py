"""The record of a run, from what its steps left."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from inspector.apps.trainer.job import Begun, CompanionsNote, TunedNote
from inspector.domain.gate import GateDecision
from inspector.domain.records import to_json
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun
from inspector.pipeline.gate_evidence import GateEvidence
from inspector.pipeline.ports import ArtefactStore
from inspector.training.refresh.run_folder import RunFolder

T = TypeVar("T")


def record_of(
    folder: RunFolder, artefacts: ArtefactStore, begun: Begun, outcome: TrainerOutcome, reasons: tuple[str, ...]
) -> TrainerRun:
    """Return a run's record; what it names is put among the artefacts. Raises ServiceUnavailableError."""
    inputs = folder.inputs
    tuned = _left(folder, "tuned", TunedNote)
    companions = _left(folder, "companions", CompanionsNote)
    decision = _left(folder, "decision", GateDecision)
    return TrainerRun(
        run_id=folder.run_id,
        outcome=outcome,
        began_at=begun.began_at,
        ended_at=datetime.now(UTC),
        holder=begun.holder,
        token=begun.token,
        parent_version=inputs.parent_version,
        candidate_version=None if tuned is None else tuned.version,
        reasons=reasons,
        corrections=len(inputs.corrected),
        conflicts=inputs.conflicts,
        examples={} if tuned is None else tuned.examples,
        judged=_judged(folder),
        steps=0 if tuned is None else tuned.steps,
        tuning_s=0.0 if tuned is None else tuned.seconds,
        offered_types=inputs.offered_types,
        left_out=(*inputs.left_out, *(line for note in (tuned, companions) if note for line in note.left_out)),
        set_aside=inputs.set_aside if decision is None else decision.set_aside,
        drifted=begun.drifted,
        to_look_at=() if decision is None else decision.to_look_at,
        inputs_version=artefacts.put(to_json(inputs)),
        gate_version=None if decision is None else artefacts.put(to_json(decision)),
        picture_version=artefacts.put(folder.picture.read_bytes()) if folder.picture.exists() else None,
    )


def _left(folder: RunFolder, name: str, record_type: type[T]) -> T | None:
    return folder.read(name, record_type) if folder.has(name) else None


def _judged(folder: RunFolder) -> Mapping[str, int]:
    evidence = _left(folder, "evidence", GateEvidence)
    if evidence is None:
        return {}
    spoken_of = sum(frame.corrected for frame in evidence.frames)
    return {"feedback": spoken_of, "frozen": len(evidence.frames) - spoken_of}
