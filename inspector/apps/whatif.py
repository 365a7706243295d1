"""``inspector whatif``: the alarms that another threshold would have raised on frames that were inspected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from inspector.apps import console, wiring
from inspector.apps.kept_results import kept_results
from inspector.apps.moments import parse_since
from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.result import PredLabel
from inspector.domain.whatif import FeedbackCounts, WhatIf
from inspector.files import write_whole
from inspector.pipeline.whatif import KnownTruth, Shifts, replay
from inspector.settings import Settings


@dataclass(frozen=True, slots=True)
class Request:
    """``since`` None: from when on the store has all of the camera's frames. ``out``: an SVG or PNG to write."""

    camera_id: str
    image_threshold: float
    since: str | None = None
    shift_hours: str = "6,14,22"
    time_zone: str = "UTC"
    out: Path | None = None
    as_json: bool = False


def run(settings: Settings, request: Request) -> None:
    """Print the alarms now and then, by type and shift, and against what people said.

    Raises:
        BadInputError: the camera is unknown, or a moment, shift, zone or file is none.
        InspectorError: as ``RedisResults``.
    """
    now = datetime.now(UTC)
    shifts = Shifts(_hours(request.shift_hours), _zone(request.time_zone), request.time_zone)
    since = None if request.since is None else parse_since(request.since, now)
    kept = kept_results(settings, wiring.results(settings), request.camera_id, now)
    start = kept.complete_since if since is None else since
    results = [result for result in kept.results if result.captured_at >= start]
    truth, missing = _truth(settings)
    found = replay(request.camera_id, results, request.image_threshold, shifts, kept.complete_since, truth)
    found = replace(found, remarks=(*found.remarks, *missing))
    if request.out is not None:
        _draw(found, [result.anomaly_score for result in results], request.out)
    if request.as_json:
        console.print_record(found)
    else:
        _print(found)


def _hours(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise BadInputError("hours at which shifts begin", repr(text), "write for example 6,14,22") from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInputError("the name of a time zone", repr(name), "write for example Europe/Berlin, or UTC") from error


def _truth(settings: Settings) -> tuple[KnownTruth | None, tuple[str, ...]]:
    """Return what people said; None, and why, where that cannot be read: the replay does not hang on it."""
    from inspector.adapters.kafka.feedback_log import read_book

    try:
        with console.status("reading feedback"):
            book = read_book(wiring.kafka_connection(settings), settings.kafka.feedback_topic)
    except InspectorError as error:
        return None, (f"without feedback: {error}",)
    settled = {frame_id: said.true_label is PredLabel.ANOMALOUS for frame_id, said in book.settled().items()}
    return KnownTruth(settled, frozenset(book.conflicts())), ()


def _draw(found: WhatIf, scores: list[float], out: Path) -> None:
    from inspector.apps.whatif_picture import draw_whatif

    kind = out.suffix.lower()
    if kind not in (".svg", ".png"):
        raise BadInputError("a file name that ends in .svg or .png", str(out), "choose another --out")
    try:
        write_whole(out, draw_whatif(found, scores, "png" if kind == ".png" else "svg"))
    except OSError as error:
        raise BadInputError("a file that can be written", f"{out}: {error.strerror}", "choose another --out") from error


def _print(found: WhatIf) -> None:
    if not found.frames or found.first_at is None or found.last_at is None or found.thresholds_now is None:
        console.remark(f"no results of camera {found.camera_id} in that time; is `inspector inspect` running?")
        return
    low, high = found.thresholds_now
    before = f"{low:.3f}" if low == high else f"{low:.3f} to {high:.3f}"
    console.lines(
        [
            f"{found.camera_id}: {found.frames} frames from {console.local_time(found.first_at)} to "
            f"{console.local_time(found.last_at)}",
            f"image threshold now {before}, then {found.image_threshold:g}",
        ]
    )
    made = console.table("alarms", "frames", "now", "then", "change")
    made.add_row("all", str(found.frames), *_counts(found.now, found.then))
    if found.hours > 0:
        per_hour = [f"{count / found.hours:.1f}" for count in (found.now, found.then)]
        made.add_row("an hour", "", *per_hour, "")
    for each in found.by_type:
        made.add_row(console.cell(f"type {each.name}"), "", *_counts(each.now, each.then))
    for shift in found.by_shift:
        made.add_row(
            console.cell(f"shift {shift.name} {found.time_zone}"), str(shift.frames), *_counts(shift.now, shift.then)
        )
    console.print_table(made)
    if found.feedback is not None:
        _print_feedback(found.feedback)
    for remark in found.remarks:
        console.remark(remark, "yellow")
    console.remark(
        f"nothing was changed; to put it in force, set cameras.{found.camera_id}.image_threshold: "
        f"{found.image_threshold:g} in inspector.yaml, then `inspector config push`"
    )


def _counts(now: int, then: int) -> tuple[str, str, str]:
    return str(now), str(then), f"{then - now:+d}" if then != now else "-"


def _print_feedback(said: FeedbackCounts) -> None:
    if not said.defective and not said.normal:
        console.lines(["nobody has said of these frames what they show"])
    else:
        console.lines(
            [
                f"of {said.defective} frames that people call defective, found: now {said.found_now}, "
                f"then {said.found_then}",
                f"of {said.normal} frames that people call good, false alarms: now {said.false_alarms_now}, "
                f"then {said.false_alarms_then}",
            ]
        )
    if said.conflicts:
        console.remark(f"on {said.conflicts} frames people differ; these are not counted", "yellow")
