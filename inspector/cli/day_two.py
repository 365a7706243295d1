"""Verbs of whoever keeps a line running: backup and restore, and what a plant needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inspector.cli.options import Config, Json, load_settings

app = typer.Typer()


@app.command(epilog="Example: inspector backup backups/")
def backup(
    place: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="A new file, or a folder for a dated one.")],
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Keep weights, banks, thresholds, settings, the rollout and feedback in one file; 1: something was missing."""
    settings = load_settings(config)
    from inspector.apps.backup import run as verb

    if not verb.backup(settings, place, as_json):
        raise typer.Exit(1)


@app.command(epilog="Example: inspector restore backups/inspector-20261124T060000Z.tar")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `inspector backup` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Also over what was decided after the backup.")] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Put a backup back, verified before anything is written; what stands and is newer is a reason to refuse."""
    settings = load_settings(config)
    from inspector.apps.backup import run as verb

    verb.restore(settings, file, force, as_json)


@app.command(epilog="Example: inspector capacity --cameras 200 --rate 5 --kb 200 --frames-per-s 20")
def capacity(
    cameras: Annotated[int, typer.Option(min=1, help="How many cameras.")],
    rate: Annotated[float, typer.Option(metavar="FPS", help="Frames a second of a camera.")],
    kb: Annotated[float, typer.Option(metavar="KB", help="An encoded frame, in kB.")],
    frames_per_s: Annotated[float, typer.Option(metavar="FPS", help="What one inspector manages: `inspector bench`.")],
    anomalous: Annotated[float, typer.Option(metavar="SHARE", min=0, max=1, help="Of frames judged anomalous.")] = 0.02,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Say what a plant needs: inspectors, partitions, disk and memory."""
    settings = load_settings(config)
    from inspector.apps import capacity as verb

    verb.run(settings, cameras, rate, kb, anomalous, frames_per_s, as_json)
