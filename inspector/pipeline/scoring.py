"""From the slots of a batch to their outcomes: wait for decoding, score, judge, and isolate a frame that breaks it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime

from inspector.domain.errors import FrameRejectedError
from inspector.domain.outcome import Dropped, Outcome, Rejected, RejectReason
from inspector.pipeline import outcomes
from inspector.pipeline.engine_ports import DecodedFrame, ServingEngine, Verdict
from inspector.pipeline.milestones import Milestone, OnMilestone, nobody_listens
from inspector.pipeline.ports import LogRecord


@dataclass(frozen=True, slots=True)
class Slot:
    """One record taken: its decoding under way, or already rejected or dropped.

    ``taken_s`` is on the monotonic clock; ``size_bytes`` is what the record takes, encoded and decoded.
    """

    record: LogRecord
    taken_s: float
    work: Future[DecodedFrame] | Rejected | Dropped
    size_bytes: int


class BatchScorer:
    """Runs on the scoring thread."""

    def __init__(self, engine: ServingEngine, on_milestone: OnMilestone = nobody_listens) -> None:
        self._engine = engine
        self._on_milestone = on_milestone

    def score(self, slots: Sequence[Slot]) -> list[Outcome]:
        """Return one outcome for each slot, in order.

        Raises:
            Exception: the engine fails on its own frame too, so the fault is its own; no camera's frame pays for it.
            MemoryError: one frame alone is too much.
        """
        decoded = [_decoded(slot) for slot in slots]
        self._on_milestone(Milestone.DECODED)
        started_s = time.monotonic()
        ready = [frame for frame in decoded if isinstance(frame, DecodedFrame)]
        verdicts = iter(self._verdicts(ready) if ready else ())
        found = [
            frame if isinstance(frame, Rejected | Dropped) else self._outcome(slot, frame, next(verdicts), started_s)
            for slot, frame in zip(slots, decoded, strict=True)
        ]
        self._on_milestone(Milestone.SCORED)
        return found

    def _verdicts(self, frames: Sequence[DecodedFrame]) -> Sequence[Verdict | Exception]:
        try:
            return self._engine.inspect(frames)
        except Exception as error:
            found = [self._alone(frame) for frame in frames]
            if all(isinstance(each, Exception) for each in found) and not self._engine.is_sound():
                raise error
            return found

    def _alone(self, frame: DecodedFrame) -> Verdict | Exception:
        try:
            return self._engine.inspect([frame])[0]
        except MemoryError:
            raise  # ours, not the frame's
        except Exception as error:
            return error

    def _outcome(self, slot: Slot, frame: DecodedFrame, verdict: Verdict | Exception, started_s: float) -> Outcome:
        if isinstance(verdict, Exception):
            detail = f"the engine fails on this frame alone: {type(verdict).__name__}: {verdict}"
            return outcomes.rejected(slot.record, FrameRejectedError(RejectReason.ENGINE_FAILURE, detail))
        return outcomes.inspected(
            frame,
            verdict,
            weights_version=verdict.weights_version or self._engine.weights_version,
            model=self._engine.model_name,
            inspected_at=datetime.now(UTC),
            queue_ms=1000 * (started_s - slot.taken_s),
        )


def _decoded(slot: Slot) -> DecodedFrame | Rejected | Dropped:
    if isinstance(slot.work, Rejected | Dropped):
        return slot.work
    try:
        return slot.work.result()
    except FrameRejectedError as error:
        return outcomes.rejected(slot.record, error)
    except MemoryError:
        raise  # ours, not the frame's
    except Exception as error:
        # Hostile bytes may find a way to fail that the decoder does not foresee; retried, it would fail for ever.
        detail = f"decoding failed: {type(error).__name__}: {error}"
        return outcomes.rejected(slot.record, FrameRejectedError(RejectReason.UNDECODABLE, detail))
