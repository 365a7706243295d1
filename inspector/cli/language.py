"""Verbs of language: results in words, and results found by words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inspector.cli.options import Config, Json, Weights, load_settings, weights_flag

app = typer.Typer()


@app.command(epilog="Example: inspector explain part.jpg --reference normal-parts/")
def explain(
    target: Annotated[str, typer.Argument(metavar="FRAME|IMAGE", help="An inspected frame's id, or an image file.")],
    camera: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The frame must be this camera's; an image is inspected as if it were."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Normal images of the same part, for an image.")
    ] = None,
    last: Annotated[
        int, typer.Option(min=1, max=2000, help="How many of the camera's last frames to compare with.")
    ] = 50,
    weights: Weights = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Say in words what is wrong with a frame: what, where, how large, how grave, how sure, and how often lately."""
    settings = load_settings(config, flags=weights_flag(weights))
    from inspector.apps import explain as verb

    verb.run(settings, verb.Request(target, camera, reference, last, as_json))


@app.command(epilog='Example: inspector find "long thin scratch near the rim" --camera cam1')
def find(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for, in a few words.")],
    cameras: Annotated[
        list[str] | None, typer.Option("--camera", metavar="ID", help="May be repeated; default: all cameras.")
    ] = None,
    last: Annotated[
        int, typer.Option(min=1, max=2000, help="How many anomalous results of each camera to look through.")
    ] = 200,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many regions to list.")] = 20,
    with_normal: Annotated[
        bool, typer.Option("--with-normal", help="Also regions of frames judged normal as a whole.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Rank the regions of stored results by how much they look like a text."""
    settings = load_settings(config)
    from inspector.apps import find as verb

    verb.run(settings, verb.Request(text, tuple(cameras or ()), last, top, with_normal, as_json))
