"""W3C Trace Context of frames and alerts. Span ids follow from a frame's identity: whoever tells of a span need not ask
who made it, and a frame that is taken again repeats its own.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from inspector.domain.frame import FrameSource

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace: what comes of it names this span as its parent. Ids are 128 and 64 bits, not 0."""

    trace_id: int
    span_id: int
    sampled: bool = True

    @property
    def traceparent(self) -> str:
        """The header's value."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{int(self.sampled):02x}"

    def child(self, span_id: int) -> TraceContext:
        """Return another span of the same trace."""
        return TraceContext(self.trace_id, span_id, self.sampled)


def parse(traceparent: str | None) -> TraceContext | None:
    """Return what a header's value says; None where it says nothing, or nothing that can be read."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    return TraceContext(trace_id, span_id, bool(flags & _SAMPLED)) if trace_id and span_id else None


def span_id_of(source: FrameSource, name: str) -> int:
    """Return the id of a span of a frame's way through an inspector, as ``inspect`` or ``alert``."""
    text = f"{name}/{source.topic}/{source.partition}/{source.offset}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") or 1


def alert_traceparent(traceparent: str | None, source: FrameSource) -> str | None:
    """Return what an alert carries where inspectors are traced: its own span, if its frame is sampled."""
    context = parse(traceparent)
    if context is None or not context.sampled:
        return traceparent
    return context.child(span_id_of(source, "alert")).traceparent
