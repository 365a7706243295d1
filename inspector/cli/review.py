"""Verbs that look back at what was inspected: cameras that have changed, and what another threshold would have done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inspector.cli.options import Camera, Config, Json, load_settings

app = typer.Typer()


@app.command(epilog="Example: inspector drift cam1 --baseline after-enrolment.json")
def drift(
    camera: Annotated[str | None, typer.Argument(metavar="[CAMERA]", help="Default: all with results.")] = None,
    recent: Annotated[
        int, typer.Option(metavar="N", min=50, max=10_000, help="How many of the last results are now.")
    ] = 200,
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with what --save kept; default: the oldest results.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep what the cameras are like now, to compare with later.")
    ] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Tell which cameras are not what they were: scores, what is found, focus, haze, exposure. Nothing is changed."""
    if baseline is not None and save is not None:
        raise typer.BadParameter("--save keeps what is now, --baseline compares with what was: give one")
    settings = load_settings(config)
    from inspector.apps import drift as verb

    verb.run(settings, verb.Request(camera, recent, baseline, save, as_json))


@app.command(epilog="Example: inspector whatif cam1 --image-threshold 0.6 --since 8h --out whatif.svg")
def whatif(
    camera: Camera,
    image_threshold: Annotated[
        float, typer.Option(metavar="X", min=0, max=1, help="Score from which a frame would be an alarm.")
    ],
    since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="8h, 7d, or 2026-11-24T06:00:00Z; default: as long as all frames are kept."),
    ] = None,
    shift_hours: Annotated[str, typer.Option(metavar="H,H,..", help="Hours at which shifts begin.")] = "6,14,22",
    time_zone: Annotated[str, typer.Option(metavar="NAME", help="Of the shifts, such as Europe/Berlin.")] = "UTC",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it there: .svg or .png.")] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Replay recorded scores against another threshold: alarms now and then, by type and shift, against feedback."""
    settings = load_settings(config)
    from inspector.apps import whatif as verb

    verb.run(settings, verb.Request(camera, image_threshold, since, shift_hours, time_zone, out=out, as_json=as_json))
