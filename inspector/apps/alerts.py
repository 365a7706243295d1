"""``inspector alerts``: the committed alerts, as a subscriber would read them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime

from rich.text import Text

from inspector.adapters.kafka.readers import read_committed
from inspector.apps import console, wiring
from inspector.apps.moments import parse_since
from inspector.domain.alert import Alert
from inspector.domain.errors import BadInputError
from inspector.domain.reject_alert import RejectAlert, RejectEvent
from inspector.pipeline import alert_record, reject_record
from inspector.pipeline.severity import ACT_NOW
from inspector.settings import Settings

_MAX_ALERT_BYTES = 2**20


def run(settings: Settings, since: str | None, follow: bool, last: int | None, as_json: bool) -> None:
    """Print alerts, oldest first within a camera; ``as_json``: one JSON object a line.

    ``last`` keeps the latest ones by time of capture (of rejected frames: of their record); with ``follow`` it reads
    until interrupted.

    Raises:
        InspectorError: as ``read_committed``.
    """
    start = None if since is None else parse_since(since, datetime.now(UTC))
    alerts = _alerts(settings, start, follow)
    if last is not None:
        alerts = reversed(heapq.nlargest(last, alerts, key=_moment))
    out = console.stdout()
    count = 0
    for alert in alerts:
        count += 1
        if as_json:
            console.print_record(alert)
        else:
            out.print(_line(alert) if isinstance(alert, Alert) else _reject_line(alert), soft_wrap=True)
    if count == 0 and not as_json:
        console.remark("no alerts")


def _alerts(settings: Settings, since: datetime | None, follow: bool) -> Iterator[Alert | RejectAlert]:
    records = read_committed(
        wiring.kafka_connection(settings),
        settings.kafka.alerts_topic,
        since=since,
        follow=follow,
        max_value_bytes=_MAX_ALERT_BYTES,
    )
    for record in records:
        try:
            is_rejects = reject_record.is_reject_alert(record)
            yield (reject_record.decode if is_rejects else alert_record.decode)(record.value or b"")
        except BadInputError as error:
            # Anybody may write to a topic: one bad record must not hide the alerts after it.
            where = f"{record.source.topic}[{record.source.partition}]@{record.source.offset}"
            console.remark(f"skipped {where}: {error}", "yellow")


def _moment(alert: Alert | RejectAlert) -> datetime:
    return alert.captured_at if isinstance(alert, Alert) else alert.occurred_at


def _reject_line(alert: RejectAlert) -> Text:
    started = alert.event is RejectEvent.START
    return Text.assemble(
        (console.local_time(alert.occurred_at), "dim"),
        f"  {console.safe(alert.camera_id):<16}",
        ("rejected frames   " if started else "frames taken again", "bold red" if started else "green"),
        f"  {console.safe(alert.description)}",
        f", the last as {console.safe(alert.last_reason)}" if alert.last_reason else "",
    )


def _line(alert: Alert) -> Text:
    grave = alert.severity >= ACT_NOW
    where = " ".join(console.safe(part) for part in (alert.part_id, alert.lot) if part)
    return Text.assemble(
        (console.local_time(alert.captured_at), "dim"),
        f"  {console.safe(alert.camera_id):<16}",
        (f"{console.safe(alert.defect_type):<18}", "bold red" if grave else "bold yellow"),
        f"severity {alert.severity:>4}  score {alert.anomaly_score:.3f}  ",
        f"{where}  " if where else "",
        console.safe(alert.description),
        (f"  frame {console.safe(alert.frame_id)}", "dim"),
    )
