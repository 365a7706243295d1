"""The demo's live table and its summary."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from demo_truth import CameraScore
from rich.console import Group
from rich.table import Table
from rich.text import Text

from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.readers import read_committed
from inspector.pipeline import alert_record
from inspector.pipeline.ports import LogRecord
from inspector.pipeline.reject_record import is_reject_alert

_RECENT = 2_000
_RATE_WINDOW_S = 5.0
_LONG_WAIT_S = 2.0


@dataclass
class AlertWatch:
    """Follows the committed alerts as a subscriber would; latency is from capture to when it is seen here."""

    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    types: dict[str, Counter[str]] = field(default_factory=dict)
    count: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def follow(self, connection: KafkaConnection, topic: str, since: datetime) -> threading.Thread:
        """Start following in a thread the alerts from ``since`` on; ``stop`` ends it."""

        def run() -> None:
            records = read_committed(
                connection, topic, since=since, follow=True, stop=self._stop.is_set, max_value_bytes=2**20
            )
            for record in records:
                self._seen(record)

        thread = threading.Thread(target=run, name="alerts", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """End the thread after its current poll."""
        self._stop.set()

    def _seen(self, record: LogRecord) -> None:
        if is_reject_alert(record):
            return
        alert = alert_record.decode(record.value or b"")
        self.latencies_ms.append(1000 * (datetime.now(UTC) - alert.captured_at).total_seconds())
        self.types.setdefault(alert.camera_id, Counter())[alert.defect_type] += 1
        self.count += 1


@dataclass
class Rate:
    """Frames per second over the last few seconds, from a growing count."""

    _points: deque[tuple[float, int]] = field(default_factory=deque)

    def update(self, count: int) -> float:
        """Take the count as of now and return the rate."""
        now_s = time.monotonic()
        self._points.append((now_s, count))
        while now_s - self._points[0][0] > _RATE_WINDOW_S:
            self._points.popleft()
        elapsed_s = now_s - self._points[0][0]
        return (count - self._points[0][1]) / elapsed_s if elapsed_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class CameraRow:
    """One camera as the table shows it."""

    camera_id: str
    frames: int
    frames_per_s: float
    defective: int
    types: Counter[str]


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which ``share`` of the values lie, None if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def live(rows: Sequence[CameraRow], *, published: int, lag: int | None, watch: AlertWatch, elapsed_s: float) -> Group:
    """Return the live view: a line of totals and a row a camera."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("camera", "frames", "frames/s", "defective"):
        table.add_column(name, justify="left" if name == "camera" else "right", min_width=9)
    table.add_column("alerts by type")
    for row in rows:
        types = ", ".join(f"{name} {count}" for name, count in row.types.most_common())
        table.add_row(row.camera_id, str(row.frames), f"{row.frames_per_s:.1f}", str(row.defective), types)
    latencies = list(watch.latencies_ms)
    p50, p99 = quantile(latencies, 0.5), quantile(latencies, 0.99)
    latency = f"{p50:.0f} ms, 99% below {p99:.0f} ms" if p50 is not None and p99 is not None else "no alert yet"
    pace = sum(row.frames_per_s for row in rows)
    totals = Text(
        f"{elapsed_s:4.0f} s   {sum(row.frames for row in rows)} of {published} frames"
        f"   {pace:.1f} frames/s   lag {'?' if lag is None else lag}{_queue(lag, pace)}"
        f"   capture to alert: {latency}"
    )
    return Group(totals, table)


def _queue(lag: int | None, frames_per_s: float) -> str:
    """Say how long a frame waits where more came than was inspected: it is most of the latency then."""
    wait_s = lag / frames_per_s if lag and frames_per_s else 0.0
    if wait_s < _LONG_WAIT_S:
        return ""
    return f" (more came than this machine inspects in time: each waits about {wait_s:.0f} s)"


def summary(scores: Mapping[str, CameraScore]) -> Table:
    """Return verdicts against the truth, a row a camera."""
    title = "\nVerdicts against what the lines really made"
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    table.add_column("camera")
    for name in ("no result", "good parts", "false alarms", "defective", "found", "recall", "right type"):
        table.add_column(name, justify="right")
    table.add_column("found of made, by type")
    for camera_id, score in sorted(scores.items()):
        recall = "-" if score.recall is None else f"{score.recall:.0%}"
        types = ", ".join(f"{name} {score.found[name]}/{made}" for name, made in sorted(score.made.items()))
        made, found = score.made.total(), score.found.total()
        missing = Text(str(score.missing), style="bold red" if score.missing else "")
        counts = (str(count) for count in (score.good, score.false_alarms, made, found))
        table.add_row(camera_id, missing, *counts, recall, f"{score.right_type}/{found}", types)
    return table
