"""Verbs of the running line: frames in, alerts and results out, cameras set up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from inspector.cli.options import Camera, Config, FalseAlarmRate, Json, load_settings

app = typer.Typer()


@app.command(epilog="Example: inspector produce sim:plate --camera cam1 --rate 5 --limit 100")
def produce(
    source: Annotated[
        str, typer.Argument(help="A folder, a video file, rtsp://..., usb:0 or sim:NAME (plate, belt, board).")
    ],
    camera: Annotated[str, typer.Option(metavar="ID", help="The camera's id.")],
    rate: Annotated[
        float | None, typer.Option(metavar="FPS", min=1e-3, max=1e4, help="Frames per second; default: as they come.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Stop after this many frames.")] = None,
    loop: Annotated[bool, typer.Option(help="Start a folder or video again when it ends.")] = False,
    product: Annotated[str, typer.Option(help="Product on the frames; default: the camera's.")] = "",
    line: Annotated[str, typer.Option(help="Line the camera stands at; default: the camera's.")] = "",
    truth_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where a sim: source writes what is wrong with its frames.")
    ] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Publish frames; while Kafka is away they wait on disk."""
    if truth_dir is not None and not source.startswith("sim:"):
        raise typer.BadParameter("--truth-dir needs a sim: source; what is wrong with other frames is not known")
    settings = load_settings(config)
    from inspector.apps import produce as verb

    verb.run(settings, verb.Request(source, camera, rate, limit, loop, product, line, truth_dir, as_json))


@app.command("inspect", epilog="Example: inspector inspect -c inspector.yaml")
def inspect_frames(
    config: Config = None, worker: Annotated[bool, typer.Option("--worker", hidden=True)] = False
) -> None:
    """Inspect frames until SIGTERM: results to Redis, alerts and dead letters to Kafka."""
    settings = load_settings(config, kafka_log=True)  # before the worker starts: a typo should end the parent
    from inspector.apps import inspect as verb

    if worker:
        raise typer.Exit(verb.work(settings))
    arguments = ["inspect", "--worker", *(["-c", str(config)] if config else [])]
    raise typer.Exit(verb.supervise(settings, [sys.executable, "-m", "inspector", *arguments]))


@app.command(epilog="Example: inspector watch -c inspector.yaml, where metrics.port says on which port")
def watch(config: Config = None) -> None:
    """Show lag, silent cameras, reconcile's findings and drift as metrics, until SIGTERM; one for each line."""
    settings = load_settings(config)
    from inspector.apps import watch as verb

    verb.run(settings)


@app.command(epilog="Example: inspector alerts --since 10m --follow")
def alerts(
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="10m, 8h, or a time as 2026-11-24T06:00:00Z.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    last: Annotated[int | None, typer.Option(min=1, help="Only the last N.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    config: Config = None,
) -> None:
    """Read the committed alerts, as a subscriber would."""
    if follow and last is not None:
        raise typer.BadParameter("--follow and --last exclude each other")
    settings = load_settings(config)
    from inspector.apps import alerts as verb

    verb.run(settings, since, follow, last, as_json)


@app.command(epilog="Example: inspector results cam1 --last 20 --defects-only --overlay-dir out/")
def results(
    camera: Camera,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 20,
    defects_only: Annotated[bool, typer.Option("--defects-only", help="Only frames judged anomalous.")] = False,
    overlay_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Save their overlays there.")] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Print a camera's last results."""
    settings = load_settings(config)
    from inspector.apps import results as verb

    verb.run(settings, camera, last, defects_only, overlay_dir, as_json)


@app.command(epilog="Example: inspector cameras --json")
def cameras(as_json: Json = False, config: Config = None) -> None:
    """List the cameras that have results."""
    settings = load_settings(config)
    from inspector.apps import results as verb

    verb.cameras(settings, as_json)


@app.command(epilog="Example: inspector feedback FRAME --wrong --type scratch --box 120,80,40,16")
def feedback(
    target: Annotated[
        str | None, typer.Argument(metavar="[FRAME]", help="An inspected frame's id; with --list, a camera's.")
    ] = None,
    right: Annotated[bool, typer.Option("--right", help="The verdict on the frame is right.")] = False,
    wrong: Annotated[
        bool, typer.Option("--wrong", help="It is wrong: of another --type, or, without one, a false alarm.")
    ] = False,
    defect_type: Annotated[str | None, typer.Option("--type", metavar="NAME", help="The right defect type.")] = None,
    boxes: Annotated[
        list[str] | None,
        typer.Option("--box", metavar="X,Y,W,H", help="Where, in pixels of the frame; may be repeated."),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Where, exactly: the defect drawn on black, in the frame's size."),
    ] = None,
    note: Annotated[str, typer.Option(help="What else there is to say.")] = "",
    person: Annotated[str | None, typer.Option(metavar="NAME", help="Who says it; default: your login name.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List what was said, of one camera or of all.")] = False,
    conflicts: Annotated[bool, typer.Option("--conflicts", help="List the frames on which people disagree.")] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Say whether the verdict on a frame is right or wrong, and what would be right; list what was said."""
    if right + wrong + list_all + conflicts != 1:
        raise typer.BadParameter("give one of --right, --wrong, --list and --conflicts")
    giving = right or wrong
    if giving != (target is not None) and not list_all:
        raise typer.BadParameter("give the id of a FRAME" if giving else "--conflicts are those of all frames")
    if not giving and (defect_type or boxes or mask or note or person is not None):
        raise typer.BadParameter("--type, --box, --mask, --note and --person belong to --right or --wrong")
    settings = load_settings(config)
    from inspector.apps import feedback as verb
    from inspector.domain.feedback import FeedbackVerdict

    if list_all:
        verb.listed(settings, target, as_json)
    elif conflicts or target is None:
        verb.conflicts(settings, as_json)
    else:
        verdict = FeedbackVerdict.RIGHT if right else FeedbackVerdict.WRONG
        verb.give(settings, verb.Request(target, verdict, defect_type, tuple(boxes or ()), mask, note, person, as_json))


@app.command(epilog="Example: inspector serve -c inspector.yaml")
def serve(config: Config = None) -> None:
    """Serve the HTTP API until SIGTERM; on this machine alone, unless serve.host says otherwise."""
    settings = load_settings(config)
    from inspector.apps import serve as verb

    verb.run(settings)


@app.command(epilog="Example: inspector reconcile --since 8h --repair")
def reconcile(
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend it: score lost frames again, send alerts that are missing.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only frames published since: 10m, 8h, or 2026-11-24T06:00:00Z.")
    ] = None,
    camera: Annotated[str | None, typer.Option(metavar="ID", help="Only frames of this camera.")] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Compare Redis with committed frames, alerts and dead letters; 0: all fits, 1: something is left that does not."""
    settings = load_settings(config)
    from inspector.apps import reconcile as verb

    if not verb.run(settings, since, camera, repair, as_json):
        raise typer.Exit(1)


@app.command(epilog="Example: inspector enroll cam1 photos/good --shots 24")
def enroll(
    cameras: Annotated[
        list[str],
        typer.Argument(
            metavar="CAMERA SOURCE [CAMERA SOURCE]...",
            help="A camera and its normal frames: a folder, a video file, or sim:NAME?normal=1.",
        ),
    ],
    shots: Annotated[int, typer.Option(min=8, max=10_000, help="How many normal frames to take.")] = 32,
    false_alarm_rate: FalseAlarmRate = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Give cameras a reference bank and thresholds from normal frames; running inspectors take both."""
    if len(cameras) % 2:
        raise typer.BadParameter(f"expected pairs of CAMERA and SOURCE, got {len(cameras)} words")
    pairs = list(zip(cameras[::2], cameras[1::2], strict=True))
    settings = load_settings(config)
    from inspector.apps import enroll as verb

    verb.enroll(settings, pairs, shots, false_alarm_rate, as_json)


@app.command(epilog="Example: inspector calibrate cam1 photos/more-good --false-alarm-rate 0.005")
def calibrate(
    camera: Camera,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Normal frames that are not in the bank.")],
    shots: Annotated[int, typer.Option("--shots", min=8, max=100_000, help="At most how many to take.")] = 1000,
    false_alarm_rate: FalseAlarmRate = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Set an enrolled camera's thresholds anew from more normal frames; the bank stays."""
    settings = load_settings(config)
    from inspector.apps import enroll as verb

    verb.calibrate(settings, camera, source, shots, false_alarm_rate, as_json)
