"""The verb of the trainer."""

from __future__ import annotations

from typing import Annotated

import typer

from inspector.cli.options import Config, Json, load_settings

app = typer.Typer()


@app.command(epilog="Example: inspector trainer --once -c inspector.yaml")
def trainer(
    once: Annotated[
        bool, typer.Option("--once", help="Do what there is to do and end, as a CronJob wants it.")
    ] = False,
    now: Annotated[bool, typer.Option("--now", help="With --once: run whether or not it is due.")] = False,
    history: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=200, help="List the last N runs instead.")
    ] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Tune weights from what people said of frames, and publish them if the gate lets them pass; until SIGTERM.

    It runs after trainer.after_corrections corrections or trainer.interval_s, one trainer at a time, and may be killed
    and started again at any moment. What it publishes goes on trial; see `inspector weights`.
    """
    if now and not once:
        raise typer.BadParameter("--now goes with --once; without it the trainer runs when it is due")
    if history is not None and once:
        raise typer.BadParameter("--history lists runs and makes none: leave --once out")
    if as_json and not once and history is None:
        raise typer.BadParameter("--json goes with --once and --history")
    settings = load_settings(config)
    from inspector.apps.trainer import run as verb

    if history is not None:
        verb.history(settings, history, as_json)
    elif once:
        if code := verb.once(settings, now_at_once=now, as_json=as_json):
            raise typer.Exit(code)
    else:
        raise typer.Exit(verb.keep_training(settings))
