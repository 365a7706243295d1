"""How many of one camera's last frames were rejected, small enough to be committed beside an offset."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from inspector.domain.reject_alert import RejectCause

_BUCKETS = 10


@dataclass(frozen=True, slots=True)
class RejectLimits:
    """When a camera's rejected frames are worth an alert.

    Over ``max_share`` (0..1) of its last ``window_frames``, or ``max_in_a_row`` one after another, which needs no full
    window. An episode ends as it began: when the share is down to half the bound, or as many frames in a row were not
    rejected.
    """

    max_share: float = 0.01
    window_frames: int = 1000
    max_in_a_row: int = 100

    @property
    def bucket_frames(self) -> int:
        """Frames by which the window moves on."""
        return max(1, math.ceil(self.window_frames / _BUCKETS))


@dataclass(slots=True)
class RejectWindow:
    """Counts of rejected frames by buckets, the last one being filled; they cover a window and at most a bucket more.

    ``run`` is how many frames in a row were rejected, or, below 0, how many were not. ``opened`` is the offset of the
    frame that started the episode that is open.
    """

    run: int = 0
    filled: int = 0
    buckets: list[int] = field(default_factory=lambda: [0])
    opened: int | None = None
    cause: RejectCause = RejectCause.SHARE

    def add(self, rejected: bool, bucket_frames: int) -> None:
        """Count one frame."""
        if self.filled >= bucket_frames:
            self.buckets = [*self.buckets[-_BUCKETS:], 0]
            self.filled = 0
        self.filled += 1
        self.buckets[-1] += rejected
        step = 1 if rejected else -1
        self.run = self.run + step if self.run * step > 0 else step

    def rejected(self) -> int:
        """Return how many of ``frames`` were rejected."""
        return sum(self.buckets)

    def frames(self, bucket_frames: int) -> int:
        """Return how many frames the buckets cover."""
        return (len(self.buckets) - 1) * bucket_frames + self.filled

    def starts(self, limits: RejectLimits) -> RejectCause | None:
        """Tell whether an episode starts with the frame that was added last, and why."""
        if self.opened is not None:
            return None
        if self.run >= limits.max_in_a_row:
            return RejectCause.IN_A_ROW
        frames = self.frames(limits.bucket_frames)
        full = frames >= limits.window_frames
        return RejectCause.SHARE if full and self.rejected() > limits.max_share * frames else None

    def ends(self, limits: RejectLimits) -> bool:
        """Tell whether the open episode ends with the frame that was added last."""
        if self.opened is None:
            return False
        if self.cause is RejectCause.IN_A_ROW:
            return -self.run >= limits.max_in_a_row
        frames = self.frames(limits.bucket_frames)
        return frames >= limits.window_frames and self.rejected() <= limits.max_share / 2 * frames

    def start(self, offset: int, cause: RejectCause) -> None:
        """Open an episode."""
        self.opened, self.cause = offset, cause

    def end(self) -> None:
        """Close the episode. What one of frames in a row left in the window must not start the next one."""
        self.opened = None
        if self.cause is RejectCause.IN_A_ROW:
            self.filled, self.buckets = 0, [0]
