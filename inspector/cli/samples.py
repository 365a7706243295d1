"""Verbs of the samples that are kept for training."""

from __future__ import annotations

from typing import Annotated

import typer

from inspector.cli.options import Config, Json, load_settings

app = typer.Typer()
samples = typer.Typer(
    no_args_is_help=True,
    help="Keep frames for training beyond Redis' retention: gather, list, verify, prune.",
    epilog="Example: inspector samples gather",
)
app.add_typer(samples, name="samples")


@samples.command("gather", epilog="Example: inspector samples gather -c inspector.yaml")
def samples_gather(as_json: Json = False, config: Config = None) -> None:
    """Keep frames with feedback, uncertain ones and some normal ones; the trainer does so by itself."""
    settings = load_settings(config)
    from inspector.apps import samples as verb

    verb.run_gather(settings, as_json)


@samples.command("list", epilog="Example: inspector samples list --camera cam1 --json")
def samples_list(
    camera: Annotated[str | None, typer.Option(metavar="ID", help="Only this camera's.")] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """List the samples."""
    settings = load_settings(config)
    from inspector.apps import samples as verb

    verb.show(settings, camera, as_json)


@samples.command("verify", epilog="Example: inspector samples verify")
def samples_verify(as_json: Json = False, config: Config = None) -> None:
    """Read every sample and hold it against its hash; 0: all are whole, 1: some are damaged."""
    settings = load_settings(config)
    from inspector.apps import samples as verb

    if not verb.verify(settings, as_json):
        raise typer.Exit(1)


@samples.command("prune", epilog="Example: inspector samples prune")
def samples_prune(as_json: Json = False, config: Config = None) -> None:
    """Remove what is damaged, what killed processes left, and what is beyond the limits of the settings."""
    settings = load_settings(config)
    from inspector.apps import samples as verb

    verb.prune(settings, as_json)
