"""The inspector's loop: frame -> decode -> batch -> score -> judge -> outcome -> store -> commit.

One thread (the caller's) owns the log and takes, settles and commits in order; decoding runs on a pool, scoring on a
thread of its own, so that the next batch is decoded and scored while this one is committed. Whatever goes wrong before
a commit throws uncommitted work away and takes it again from the committed offsets; results stored twice are the same
upsert, alerts exist only in a committed transaction.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from inspector.domain.alert import Alert
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.outcome import Dropped, Inspected, Outcome, Rejected
from inspector.pipeline import alert_record, dead_letter, outcomes, reject_record
from inspector.pipeline.batcher import Batcher
from inspector.pipeline.decode_stage import DecodeStage, StuckError
from inspector.pipeline.drop_rule import DropRule, PartitionKey
from inspector.pipeline.engine_ports import ServingEngine
from inspector.pipeline.ledger import OffsetLedger
from inspector.pipeline.loop_parts import CommitReport, LoopEvents, LoopLimits, LoopState, OutTopics
from inspector.pipeline.milestones import Milestone
from inspector.pipeline.ports import (
    CommitFailedError,
    Configuration,
    DecodeMarks,
    FencedError,
    FrameLog,
    LogRecord,
    OutRecord,
    Ownership,
    ResultStore,
    StoreStatus,
)
from inspector.pipeline.reject_watch import RejectWatch
from inspector.pipeline.scoring import BatchScorer, Slot
from inspector.pipeline.trace_context import alert_traceparent


@dataclass(slots=True)
class _Batch:
    slots: list[Slot]
    ownership: Ownership
    scored: Future[list[Outcome]]
    dispatched_s: float
    retry_at_s: float = 0.0

    @property
    def size_bytes(self) -> int:
        return sum(slot.size_bytes for slot in self.slots)


class InspectionLoop:
    """Runs until told to stop; see the module's text for who does what."""

    def __init__(
        self,
        log: FrameLog,
        store: ResultStore,
        marks: DecodeMarks,
        engine: ServingEngine,
        config: Configuration,
        topics: OutTopics,
        limits: LoopLimits,
        events: LoopEvents,
    ) -> None:
        self._log = log
        self._store = store
        self._engine = engine
        self._config = config
        self._topics = topics
        self._limits = limits
        self._events = events
        self._marks = marks
        self._drops = DropRule(limits.drops)
        self._decoding = DecodeStage(
            engine,
            marks,
            self._drops,
            threads=limits.decode_threads,
            max_frame_bytes=limits.max_frame_bytes,
            timeout_s=limits.lone_decode_timeout_s,
        )
        self._scorer = ThreadPoolExecutor(1, "score")
        self._batches = BatchScorer(engine, events.on_milestone)
        self._batcher: Batcher[Slot] = Batcher(limits.batch_max_size, limits.batch_max_wait_s)
        self._ledger = OffsetLedger()
        self._rejects = RejectWatch(limits.rejects)
        self._in_flight: deque[_Batch] = deque()
        self._ownership: Ownership | None = None
        self._config_work: Future[bool] | None = None
        self._config_due_s = 0.0
        self._queued_bytes = 0
        self._mark_after_s = 0.0
        self._tell_state_at_s = 0.0
        self._unknown: tuple[PartitionKey, ...] = ()  # partitions of which it is not known how far results reach
        self._full = False
        self._must_rebuild = False

    def run(self, stop: Callable[[], bool]) -> None:
        """Run until ``stop()``; then finish the batches in hand and commit them.

        Raises:
            FencedError: another inspector owns our name or our partitions; exit the process.
            StuckError: the engine does not come back; exit the process, without waiting for its threads.
        """
        stuck = False
        try:
            while not stop():
                self.step()
            self._finish(stop_after_s=time.monotonic() + 10 * self._limits.retry_s)
        except StuckError:
            stuck = True  # what is still being decoded stays marked: it may be what does not come back
            raise
        finally:
            self._scorer.shutdown(wait=False, cancel_futures=True)
            self._decoding.close()
            if not stuck:
                self._marks.withdraw()

    def step(self) -> None:
        """Do what can be done now: take configuration and frames, dispatch, settle; waits a little if idle."""
        self._tell_state()
        self._take_marks_back()
        if self._must_rebuild and not self._rebuilt():
            return
        self._take_config()
        self._take_frames()
        self._start_decoding()
        self._dispatch()
        self._settle_head()

    def _tell_state(self) -> None:
        now_s = time.monotonic()
        if now_s < self._tell_state_at_s:
            return
        self._tell_state_at_s = now_s + self._limits.state_every_s
        scoring = sum(len(batch.slots) for batch in self._in_flight)
        batching = len(self._batcher)
        decoding = self._ledger.open_frames() - scoring - batching
        owns, lag = self._ownership is not None, self._log.lag()
        self._events.on_state(LoopState(owns, lag, decoding, batching, scoring, self._queued_bytes, self._full))

    def _take_config(self) -> None:
        if self._config_work is not None:
            if not self._config_work.done():
                return
            self._config_work.result()
            self._config_work = None
        if time.monotonic() >= self._config_due_s:
            self._config_work = self._scorer.submit(self._config.apply_pending)
            self._config_due_s = time.monotonic() + self._limits.config_poll_s

    def _take_frames(self) -> None:
        room = self._limits.max_queued_frames - self._ledger.open_frames()
        full = room <= 0 or self._queued_bytes >= self._limits.max_queued_bytes
        self._hold_back(full=full or self._decoding.is_waiting() or bool(self._unknown))
        if self._full and self._in_flight:
            wait([self._in_flight[0].scored], timeout=0.02)
        try:
            # At most a batch at a time: what a poll brings is not known before, and must not go far beyond the bounds.
            polled = self._log.poll(self._poll_timeout_s(), max(1, min(room, self._limits.batch_max_size)))
        except ServiceUnavailableError as error:
            self._events.on_trouble("kafka is away", str(error))
            time.sleep(self._limits.retry_s)
            return
        if polled.reset:
            self._throw_away()
            self._rejects.restore(polled.notes)
            self._drops.forget()
            self._unknown = tuple(polled.notes) if self._drops.is_on else ()
        self._ownership = polled.ownership
        if self._drops.is_on and polled.records:
            self._drops.see(self._log.ends())
        for record in polled.records:
            self._take(record)
        if polled.records:
            self._events.on_milestone(Milestone.POLLED)

    def _hold_back(self, *, full: bool) -> None:
        # Paused partitions are still polled: that is what keeps us in the group while we wait.
        if full != self._full:
            self._full = full
            if full:
                self._log.pause()
            else:
                self._log.resume()

    def _poll_timeout_s(self) -> float:
        now_s = time.monotonic()
        if self._in_flight:
            if self._in_flight[0].retry_at_s > now_s:
                return 0.05
            return 0.0 if self._full else 0.005
        due_s = self._batcher.due_in_s(now_s)
        return 0.1 if due_s is None else min(0.1, due_s)

    def _take(self, record: LogRecord) -> None:
        self._ledger.take(record.source)
        self._queued_bytes += self._decoding.take(record, time.monotonic())

    def _start_decoding(self) -> None:
        now_s = time.monotonic()
        if self._ownership is None or now_s < self._mark_after_s:
            return
        try:
            self._learn_what_is_stored(self._ownership.generation)
            empty = not self._in_flight and not len(self._batcher)
            for slot in self._decoding.start(self._ownership.generation, line_is_empty=empty):
                # A frame that is left out costs the engine nothing, so it takes no place in a batch.
                self._batcher.add(slot, now_s, weight=0 if isinstance(slot.work, Dropped) else 1)
        except ServiceUnavailableError as error:
            self._marks_are_away(error)

    def _take_marks_back(self) -> None:
        # Also while the group changes or the brokers are away: the next owner counts what is left as a death.
        if time.monotonic() < self._mark_after_s:
            return
        try:
            self._decoding.tidy()
        except ServiceUnavailableError as error:
            self._marks_are_away(error)

    def _marks_are_away(self, error: ServiceUnavailableError) -> None:
        self._events.on_trouble("redis is away", str(error))
        self._mark_after_s = time.monotonic() + self._limits.retry_s

    def _learn_what_is_stored(self, generation: int) -> None:
        # Before the first frame is taken: one that another life has stored and not committed must not be dropped.
        if self._unknown:
            self._drops.spare(self._store.stored_up_to(self._unknown, generation))
            self._unknown = ()

    def _dispatch(self) -> None:
        while len(self._in_flight) < self._limits.max_batches_in_flight and self._ownership is not None:
            slots = self._batcher.take(time.monotonic())
            if not slots:
                return
            scored = self._scorer.submit(self._batches.score, slots)
            self._scorer.submit(self._events.after_batch)
            self._in_flight.append(_Batch(slots, self._ownership, scored, time.monotonic()))

    def _settle_head(self) -> None:
        if not self._in_flight:
            return
        batch = self._in_flight[0]
        if not batch.scored.done():
            self._check_stuck(batch)
            return
        # While the membership is changing, a commit would most likely fail and cost everyone another rebalance.
        if self._ownership is None or time.monotonic() < batch.retry_at_s:
            return
        started_s = time.monotonic()
        try:
            settled = self._store_results(batch)
        except ServiceUnavailableError as error:
            # No transaction is open, so nothing times out: wait, keep polling, try the same upserts again.
            self._events.on_trouble("redis is away", str(error))
            batch.retry_at_s = time.monotonic() + self._limits.retry_s
            return
        self._events.on_milestone(Milestone.STORED)
        self._commit(batch, settled, store_ms=1000 * (time.monotonic() - started_s))

    def _check_stuck(self, batch: _Batch) -> None:
        # The second batch in flight waits for the first, and configuration may be applied in between: hence from when
        # the head was dispatched, with a limit far above any batch.
        if time.monotonic() - batch.dispatched_s > self._limits.score_timeout_s:
            raise StuckError(
                f"a batch of {len(batch.slots)} frames was not scored in {self._limits.score_timeout_s:.0f} s"
            )

    def _store_results(self, batch: _Batch) -> list[Outcome]:
        scored = batch.scored.result()
        statuses = self._store.store([o for o in scored if isinstance(o, Inspected)], batch.ownership.generation)
        if StoreStatus.FENCED in statuses:
            raise FencedError("a newer owner of this partition has stored results: this inspector was replaced")
        return outcomes.after_store(scored, statuses, [slot.record for slot in batch.slots])

    def _commit(self, batch: _Batch, settled: list[Outcome], store_ms: float) -> None:
        sources = [slot.record.source for slot in batch.slots]
        next_offsets, counts = self._ledger.settle(sources, settled)
        reject_alerts = self._rejects.observe(settled, [slot.record for slot in batch.slots])
        records = [record for outcome in settled for record in self._records(outcome)]
        records += [reject_record.encode(alert, self._topics.alerts) for alert in reject_alerts]
        started_s = time.monotonic()
        try:
            self._log.commit(batch.ownership, next_offsets, records, self._rejects.notes(next_offsets))
        except CommitFailedError as error:
            self._events.on_trouble("commit failed", str(error))
            self._throw_away()
            self._must_rebuild = True
            return
        self._in_flight.popleft()
        self._queued_bytes -= batch.size_bytes
        for outcome in settled:
            self._decoding.settled(outcome)
        commit_ms = 1000 * (time.monotonic() - started_s)
        self._events.on_commit(CommitReport(counts, settled, store_ms, commit_ms, reject_alerts))

    def _records(self, outcome: Outcome) -> list[OutRecord]:
        if isinstance(outcome, Inspected) and outcome.alert is not None:
            return [self._alert(outcome.alert)]
        if isinstance(outcome, Rejected):
            return [dead_letter.encode(outcome, self._topics.dead_letter, self._limits.max_dead_letter_bytes)]
        if isinstance(outcome, Dropped):
            return [dead_letter.encode_dropped(outcome, self._topics.dead_letter)]
        return []

    def _alert(self, alert: Alert) -> OutRecord:
        if self._limits.traced:
            alert = replace(alert, traceparent=alert_traceparent(alert.traceparent, alert.source))
        return alert_record.encode(alert, self._topics.alerts)

    def _rebuilt(self) -> bool:
        try:
            self._log.rebuild()
        except ServiceUnavailableError as error:
            self._events.on_trouble("kafka is away", str(error))
            time.sleep(self._limits.retry_s)
            return False
        self._must_rebuild = False
        self._hold_back(full=False)
        return True

    def _throw_away(self) -> None:
        """Forget all uncommitted work: it will be taken again from the committed offsets."""
        for slot in self._batcher.clear():
            if isinstance(slot.work, Future):
                slot.work.cancel()
        self._decoding.throw_away()
        self._in_flight.clear()
        self._ledger.reset()
        self._queued_bytes = 0

    def _finish(self, stop_after_s: float) -> None:
        """Settle the batches in hand, within a bound; what is left is the next owner's."""
        self._batcher.clear()
        while self._in_flight and self._ownership and not self._must_rebuild and time.monotonic() < stop_after_s:
            wait([self._in_flight[0].scored], timeout=0.1)
            self._settle_head()
            if self._in_flight and self._in_flight[0].retry_at_s > 0:
                time.sleep(0.05)
        if self._in_flight and not self._in_flight[0].scored.done():
            raise StuckError("the batch in hand was not scored in time to stop")
