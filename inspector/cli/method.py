"""Verbs of the method: data sets looked at, weights tuned and measured, results explained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inspector.cli.options import Json

app = typer.Typer()
dataset = typer.Typer(
    no_args_is_help=True,
    help="Look at labelled image folders before hours are spent on them.",
    epilog="Example: inspector dataset check mvtec/",
)
app.add_typer(dataset, name="dataset")


@dataset.command("check", epilog="Example: inspector dataset check photos/ --layout normal-defect")
def dataset_check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set, or one of its classes.")],
    layout: Annotated[
        str | None, typer.Option(metavar="NAME", help="How its folders are laid out; default: what they look like.")
    ] = None,
    synonyms: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Own words for defect types (YAML), on top of the built-in ones."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print what a data set holds and what is wrong with it: classes, types, counts, masks, unreadable files."""
    from inspector.apps import dataset as verb

    if not verb.check(folder, layout, synonyms, as_json):
        raise typer.Exit(1)
