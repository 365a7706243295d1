"""``inspector reconcile``: Redis against committed alerts, dead letters and offsets; a report, and a repair."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from inspector.adapters.kafka.committed import CommittedRange, committed_ranges
from inspector.adapters.kafka.repair_log import RepairLog
from inspector.adapters.outcome_index import OutcomeIndex
from inspector.adapters.redis.frame_states import RedisFrameStates
from inspector.adapters.redis.result_store import RedisResultStore
from inspector.adapters.redis.results import RedisResults
from inspector.apps import console, wiring
from inspector.apps.moments import parse_since
from inspector.apps.reconcile_repair import Repairer
from inspector.apps.reconcile_walk import Case, Scope, Walk, index_outcomes
from inspector.domain.errors import BadInputError
from inspector.pipeline.ports import FencedError
from inspector.pipeline.reconciliation import Finding, published_at
from inspector.pipeline.stretches import Stretches
from inspector.settings import Settings

# Listed one by one; of more, only how many there are.
_MAX_LISTED = 1000
_MAX_SHOWN = 20
# Dead letters carry headers beside a frame's bytes.
_RECORD_ROOM_BYTES = 512 * 1024


@dataclass(slots=True)
class Report:
    """What was looked at and found. ``listed`` are the first findings, each with whether it is left and why.

    Of frames older than ``complete_since`` nothing is found missing: Kafka may have let their outcomes go. For a later
    look: ``ends``, what was committed of each partition, and ``open``, where findings stay whose frames Kafka has.
    """

    partitions: int
    complete_since: datetime | None = None
    frames: int = 0
    gone: int = 0
    found: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    listed: list[tuple[Finding, bool, str]] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    open: Stretches = field(default_factory=Stretches)

    @property
    def consistent(self) -> bool:
        """Whether nothing is left that does not fit."""
        return not self.left

    def add(self, cases: list[Case], left: list[tuple[Case, str]]) -> None:
        """Take down findings, and which of them stay."""
        reasons = {id(case): reason for case, reason in left}
        for case in cases:
            stays = id(case) in reasons
            self.found[case.finding.kind.value] += 1
            self.left.update([case.finding.kind.value] if stays else [])
            if stays and case.record is not None:
                self.open.add(case.finding.source, published_at(case.record.timestamp_ms))
            if len(self.listed) < _MAX_LISTED:
                self.listed.append((case.finding, stays, reasons.get(id(case), "")))


def run(settings: Settings, since: str | None, camera_id: str | None, repair: bool, as_json: bool) -> bool:
    """Compare, repair if asked to, print; return whether all fits, after the repair.

    Raises:
        BadInputError: ``since`` is no moment, the group has committed nothing, another repair was started meanwhile, or
            a topic is missing.
        InspectorError: Kafka or Redis is away or refuses us, or the engine cannot be made.
    """
    now = datetime.now(UTC)
    scope = Scope(now, None if since is None else parse_since(since, now), camera_id)
    try:
        report = look(settings, scope, repair)
    except FencedError as error:
        raise BadInputError("to be the only repair of this group", str(error), "wait for it to end") from error
    if not report.partitions:
        kafka = settings.kafka
        raise BadInputError(
            f"frames of {kafka.frames_topic} that group {kafka.group} has committed",
            "none: nothing was inspected so far, or its offsets have expired",
            "correct kafka.group or kafka.frames_topic if another inspects",
        )
    if as_json:
        console.print_json(_document(report, repair))
    else:
        _print(report, repair)
    return report.consistent


def look(settings: Settings, scope: Scope, repair: bool) -> Report:
    """Compare, and repair if asked to; a report of no partition: the group has committed nothing.

    Raises:
        BadInputError: as ``run``, but for another repair and for nothing committed.
        FencedError: another repair was started meanwhile.
        InspectorError: as ``run``.
    """
    connection, kafka = wiring.kafka_connection(settings), settings.kafka
    with ExitStack() as until_done:
        client = wiring.redis_client(settings)
        until_done.callback(client.close)
        repairer: Repairer | None = None
        if repair:
            # Before anything is read: see RepairLog.
            max_bytes = settings.limits.max_frame_bytes + _RECORD_ROOM_BYTES
            log = RepairLog(connection, group_id=kafka.group, max_record_bytes=max_bytes)
            until_done.callback(log.close)
            store = RedisResultStore(client, group_id=kafka.group, retention=wiring.retention(settings))
            repairer = Repairer(settings, connection, log, store)
        # Offsets before outcomes: of a frame that is committed by now, everything is written by then.
        ranges = committed_ranges(connection, kafka.group, kafka.frames_topic, scope.since, scope.after)
        if not ranges:
            return Report(0)
        index = OutcomeIndex()
        until_done.callback(index.close)
        with console.status("reading alerts and dead letters"):
            index_outcomes(connection, settings, scope, index)
        states = RedisFrameStates(client, wiring.retention(settings))
        walk = Walk(connection, settings, scope, ranges, index, states, RedisResults(client))
        return _walked(walk, ranges, repairer)


def _walked(walk: Walk, ranges: list[CommittedRange], repairer: Repairer | None) -> Report:
    report = Report(len(ranges), walk.complete_since, ends={part.partition: part.end for part in ranges})
    with console.progress("frames", sum(len(part) for part in ranges)) as meter:
        for window in walk.windows():
            report.frames += window.frames
            report.gone += window.gone
            left = repairer.mend(window.cases) if repairer else [(case, "") for case in window.cases]
            report.add(window.cases, left)
            meter.advance(window.passed)
    return report


def _document(report: Report, repair: bool) -> dict[str, Any]:
    findings = [
        {**asdict(finding), "left": left, **({"reason": reason} if reason else {})}
        for finding, left, reason in report.listed
    ]
    return {
        "consistent": report.consistent,
        "partitions": report.partitions,
        "frames": report.frames,
        "gone_by_retention": report.gone,
        "complete_since": None if report.complete_since is None else report.complete_since.isoformat(),
        "found": dict(report.found),
        "repaired": dict(report.found - report.left) if repair else {},
        "left": dict(report.left),
        "findings": findings,
        "findings_not_listed": sum(report.found.values()) - len(findings),
    }


def _print(report: Report, repair: bool) -> None:
    console.lines(
        [
            f"{report.frames} committed frames of {report.partitions} partitions; "
            f"the results of {report.gone} are gone by retention"
        ]
    )
    if report.complete_since is not None:
        moment = report.complete_since.isoformat(timespec="minutes")
        console.lines([f"of frames before {moment} alerts and dead letters may be gone: none was looked for"])
    if not report.found:
        console.lines(["all fits: each has its result or dead letter, and each alert its result"])
        return
    made = console.table("what does not fit", "found", *(["repaired"] if repair else []), "left")
    for kind, count in report.found.most_common():
        left = report.left[kind]
        made.add_row(console.cell(kind), str(count), *([str(count - left)] if repair else []), str(left))
    console.print_table(made)
    _print_examples(report)
    if report.left and not repair:
        console.remark("`inspector reconcile --repair` mends what can be mended; it may run while the line runs")


def _print_examples(report: Report) -> None:
    staying = [(finding, reason) for finding, left, reason in report.listed if left]
    made = console.table("left", "partition", "offset", "camera", "frame", "why")
    for finding, reason in staying[:_MAX_SHOWN]:
        made.add_row(
            console.cell(finding.kind.value),
            str(finding.source.partition),
            str(finding.source.offset),
            console.cell(finding.camera_id),
            console.cell(finding.frame_id, "dim"),
            console.cell(reason or finding.detail),
        )
    if staying:
        console.print_table(made)
    if (more := sum(report.left.values()) - min(len(staying), _MAX_SHOWN)) > 0:
        console.remark(f"and {more} more; --json lists up to {_MAX_LISTED}")
