"""What a loop is told, and what it tells: its bounds, its topics, its reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from inspector.domain.outcome import Outcome
from inspector.domain.reject_alert import RejectAlert
from inspector.pipeline.drop_rule import DropLimits
from inspector.pipeline.ledger import Counts
from inspector.pipeline.milestones import OnMilestone, nobody_listens
from inspector.pipeline.reject_window import RejectLimits


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Bounds of one inspector.

    ``max_queued_frames`` and ``max_queued_bytes`` bound memory: frames taken and not yet committed, their bytes
    encoded and decoded.
    ``score_timeout_s`` is how long a batch may take before the engine counts as stuck,
    ``lone_decode_timeout_s`` the decode of one frame while nothing else is done. ``traced``: an alert carries its own
    span's trace context instead of its frame's.
    """

    batch_max_size: int = 8
    batch_max_wait_s: float = 0.05
    max_queued_frames: int = 48
    max_queued_bytes: int = 256 * 2**20
    max_batches_in_flight: int = 2
    decode_threads: int = 2
    max_frame_bytes: int = 16 * 2**20
    max_dead_letter_bytes: int = 20 * 2**20
    retry_s: float = 1.0
    score_timeout_s: float = 300.0
    lone_decode_timeout_s: float = 30.0
    config_poll_s: float = 0.5
    state_every_s: float = 1.0
    traced: bool = False
    rejects: RejectLimits = field(default_factory=RejectLimits)
    drops: DropLimits = field(default_factory=DropLimits)


@dataclass(frozen=True, slots=True)
class OutTopics:
    """Where alerts and dead letters go."""

    alerts: str
    dead_letter: str


@dataclass(frozen=True, slots=True)
class CommitReport:
    """One committed batch."""

    counts: Counts
    outcomes: Sequence[Outcome] = field(repr=False)
    store_ms: float = 0.0
    commit_ms: float = 0.0
    reject_alerts: Sequence[RejectAlert] = ()


@dataclass(frozen=True, slots=True)
class LoopState:
    """Where the loop stands, as it tells by itself about once a second while it turns.

    ``owns``: the group is joined. ``lag``: as ``FrameLog.lag``. ``decoding``, ``batching`` and ``scoring`` are frames
    taken and not committed, by what they wait for; ``queued_bytes`` is what they take. ``paused``: no more are taken.
    """

    owns: bool
    lag: Mapping[tuple[str, int], int]
    decoding: int = 0
    batching: int = 0
    scoring: int = 0
    queued_bytes: int = 0
    paused: bool = False

    @property
    def queued(self) -> int:
        """Frames taken and not committed."""
        return self.decoding + self.batching + self.scoring


@dataclass(frozen=True, slots=True)
class LoopEvents:
    """What the loop tells: a committed batch, trouble it recovers from (what, detail), and how far a batch has come.

    The milestones of the transaction itself are the log's to tell. ``after_batch`` is called on the thread that scores,
    when a batch's outcomes are on their way and before the next batch: what may wait is done there. It never raises.
    ``on_state`` hears where the loop stands, every ``LoopLimits.state_every_s`` while it turns.
    """

    on_commit: Callable[[CommitReport], None] = lambda _: None
    on_trouble: Callable[[str, str], None] = lambda _what, _detail: None
    on_milestone: OnMilestone = nobody_listens
    after_batch: Callable[[], None] = lambda: None
    on_state: Callable[[LoopState], None] = lambda _: None
