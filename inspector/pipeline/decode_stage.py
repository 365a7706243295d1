"""From a record taken to a slot whose decoding is under way.

A decode may end the process: a fault in native code is no exception. So frames are marked durably before they are
decoded, a poll's frames in one write, and unmarked after it. A mark that another life left behind is a death that met
the frame. Such suspects are decoded one at a time, while nothing else is decoded, scored or committed, so that
whatever ends the process then is most likely the frame; one that has met ``MAX_DEATHS`` is rejected without another
attempt. A frame that was decoded has nothing held against it any more, whatever killed its batch before.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

from inspector.domain.errors import FrameRejectedError, InspectorError
from inspector.domain.frame import Frame, FrameSource
from inspector.domain.outcome import Dropped, Outcome, Rejected, RejectReason
from inspector.pipeline import outcomes
from inspector.pipeline.drop_rule import DropRule
from inspector.pipeline.engine_ports import DecodedFrame, ServingEngine
from inspector.pipeline.frame_record import parse
from inspector.pipeline.ports import NO_TAG, DecodeMarks, LogRecord, Marked, Unmark
from inspector.pipeline.scoring import Slot

MAX_DEATHS = 3
_LOOK_S = 0.02  # most suspects are decoded in less


class StuckError(Exception):
    """The engine does not come back. Its thread cannot be ended, so the process must be."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A record that waits for its decoding to start; ``deaths`` are known once it was looked up."""

    record: LogRecord
    taken_s: float
    frame: Frame | Rejected | Dropped
    size_bytes: int
    deaths: int = 0


@dataclass(slots=True)
class _Lone:
    """A suspect that is being decoded alone. ``mark`` is None once it ended; it is not ``wanted`` once thrown away."""

    taken: _Taken
    work: Future[DecodedFrame]
    started_s: float
    mark: Marked | None
    wanted: bool = True


class DecodeStage:
    """Owned by the loop's thread; decodes on ``threads`` of its own. A lone decode is stuck after ``timeout_s``."""

    def __init__(
        self,
        engine: ServingEngine,
        marks: DecodeMarks,
        drops: DropRule,
        *,
        threads: int,
        max_frame_bytes: int,
        timeout_s: float,
    ) -> None:
        self._engine = engine
        self._marks = marks
        self._drops = drops
        self._max_frame_bytes = max_frame_bytes
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(threads, "decode")
        self._fresh: list[_Taken] = []
        self._careful: deque[_Taken] = deque()
        self._lone: _Lone | None = None
        self._over: deque[Unmark] = deque()
        self._held = 0  # marks that are set; those in `_over` may be taken back

    def take(self, record: LogRecord, now_s: float) -> int:
        """Take a record, to be started by ``start``; return the bytes it takes, encoded and decoded."""
        size_bytes = len(record.value or b"")
        frame: Frame | Rejected | Dropped
        try:
            frame = parse(record, self._engine.find_camera, self._max_frame_bytes)
            if (why := self._drops.decide(frame)) is not None:
                frame = outcomes.dropped(record, frame, *why)
            else:
                # Tiled frames take far more decoded than encoded.
                size_bytes += self._engine.decoded_bytes(frame)
        except FrameRejectedError as error:
            frame = outcomes.rejected(record, error)
        self._fresh.append(_Taken(record, now_s, frame, size_bytes))
        return size_bytes

    def is_waiting(self) -> bool:
        """Tell whether frames were taken whose decoding has not started."""
        return bool(self._fresh or self._careful or self._lone)

    def start(self, fencing_token: int, *, line_is_empty: bool) -> list[Slot]:
        """Start decoding what can be started now; return the slots in the order they were taken.

        ``line_is_empty``: every frame started before is committed, so that a suspect may be tried.

        Raises:
            ServiceUnavailableError: frames cannot be marked for now; they wait for the next call.
            FencedError: a newer owner of a partition exists.
            StuckError: a suspect's decoding does not come back.
        """
        may_try = self._lone is None and self._careful and line_is_empty
        if may_try and (slot := self._start_alone(fencing_token)) is not None:
            return [slot]
        if self._lone is not None:
            return self._look_at(self._lone)
        if self._careful:
            return []
        return self._start_fresh(fencing_token) if self._fresh else []

    def tidy(self) -> None:
        """Take marks back if nothing is being decoded; otherwise they go with the next ones that are set.

        Raises:
            ServiceUnavailableError: the marks stay for now.
        """
        if self._lone is not None:
            self._end_lone(self._lone)
        if len(self._over) == self._held:
            self._take_back()

    def settled(self, outcome: Outcome) -> None:
        """Learn that an outcome is committed: the deaths of a frame that is set aside need not be kept."""
        if isinstance(outcome, Rejected) and outcome.reason is RejectReason.DECODER_CRASH:
            self._held += 1
            self._over.append(Unmark(outcome.source, NO_TAG))

    def throw_away(self) -> None:
        """Forget what was not started. What is being decoded ends by itself and is unmarked then."""
        self._fresh.clear()
        self._careful.clear()
        if self._lone is not None:
            self._lone.wanted = False

    def close(self) -> None:
        """Decode no more, and take the marks back of all that has ended, as far as the store can be reached."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._lone is not None:
            self._end_lone(self._lone)
        # Nothing is wrong with those: only what is still being decoded may be what does not come back.
        with suppress(InspectorError):
            self._take_back()

    def _start_fresh(self, fencing_token: int) -> list[Slot]:
        taken = self._fresh
        marked = self._mark([each for each in taken if isinstance(each.frame, Frame)], fencing_token)
        self._fresh = []
        if not any(mark.deaths for mark in marked.values()):
            return [self._submitted(each, marked.get(each.record.source)) for each in taken]
        for mark in marked.values():
            if not mark.deaths:  # set just now, and its frame's turn comes later
                self._end(mark)
        deaths = {source: mark.deaths for source, mark in marked.items()}
        self._careful.extend(replace(each, deaths=deaths.get(each.record.source, 0)) for each in taken)
        return []

    def _start_alone(self, fencing_token: int) -> Slot | None:
        """Start the next one alone; return its slot if there is nothing to decode."""
        taken = self._careful[0]
        slot = None
        if not isinstance(taken.frame, Frame):
            slot = self._submitted(taken, None)
        elif taken.deaths >= MAX_DEATHS:
            slot = Slot(taken.record, taken.taken_s, _set_aside(taken), taken.size_bytes)
        else:
            (mark,) = self._mark([taken], fencing_token, alone=True).values()
            self._lone = _Lone(taken, self._pool.submit(self._engine.decode, taken.frame), time.monotonic(), mark)
        self._careful.popleft()
        return slot

    def _look_at(self, lone: _Lone) -> list[Slot]:
        """Return the slot of a suspect when it was decoded and nothing is held against it any more.

        The loop's thread goes on polling meanwhile, or the group would take it for dead.
        """
        wait([lone.work], _LOOK_S)
        if not self._end_lone(lone):
            if time.monotonic() - lone.started_s > self._timeout_s:
                raise StuckError(f"decoding {lone.taken.record.source} did not end in {self._timeout_s:.0f} s")
            return []
        # Before its frame is scored or committed: a kill there must not look like a death of the lone decode.
        self._take_back()
        self._lone = None
        taken = lone.taken
        return [Slot(taken.record, taken.taken_s, lone.work, taken.size_bytes)] if lone.wanted else []

    def _end_lone(self, lone: _Lone) -> bool:
        if lone.work.done() and lone.mark is not None:
            self._end(lone.mark)
            lone.mark = None
        return lone.mark is None

    def _mark(
        self, taken: Sequence[_Taken], fencing_token: int, *, alone: bool = False
    ) -> Mapping[FrameSource, Marked]:
        if not taken:
            return {}
        over = list(self._over)
        marked = self._marks.mark([each.record.source for each in taken], fencing_token, over, alone=alone)
        self._forget(over)
        self._held += sum(alone or not mark.deaths for mark in marked)
        return {mark.source: mark for mark in marked}

    def _submitted(self, taken: _Taken, marked: Marked | None) -> Slot:
        if marked is None or not isinstance(taken.frame, Frame):
            work: Future[DecodedFrame] | Rejected | Dropped = cast(Rejected | Dropped, taken.frame)
        else:
            work = self._pool.submit(self._engine.decode, taken.frame)
            # However it ends, with an exception or unstarted, it has not ended the process.
            work.add_done_callback(lambda _: self._end(marked))
        return Slot(taken.record, taken.taken_s, work, taken.size_bytes)

    def _end(self, marked: Marked) -> None:
        self._over.append(Unmark(marked.source, marked.tag))  # from any thread: a deque's append is atomic

    def _take_back(self) -> None:
        over = list(self._over)
        if over:
            self._marks.unmark(over)
            self._forget(over)

    def _forget(self, ended: Sequence[Unmark]) -> None:
        self._held -= len(ended)
        for _ in ended:
            self._over.popleft()


def _set_aside(taken: _Taken) -> Rejected:
    detail = f"{taken.deaths} processes ended while they decoded this frame; it was not decoded again"
    error = FrameRejectedError(RejectReason.DECODER_CRASH, detail)
    return replace(outcomes.rejected(taken.record, error), attempts=taken.deaths)
