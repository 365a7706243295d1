"""Verbs of prompt weights: files of them, and which published ones serve the line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from inspector.cli.options import Config, Json, load_settings

if TYPE_CHECKING:
    from inspector.apps.weights_rollout import Request

app = typer.Typer()
weights = typer.Typer(
    no_args_is_help=True,
    help="Files of prompt weights; and publish weights, take them to the line in stages, and back.",
    epilog="Example: inspector weights show w.safetensors",
)
app.add_typer(weights, name="weights")

WeightsFile = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Default: the weights in use.")]
Version = Annotated[
    str | None, typer.Argument(metavar="[VERSION]", help="A published version, or how it begins.", show_default=False)
]
By = Annotated[str | None, typer.Option(metavar="NAME", help="Who decides; default: `replica` of the settings.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for those who read it later.")]
Force = Annotated[bool, typer.Option("--force", help="Whatever speaks against it or is lacking; lifts vetoes of it.")]


@weights.command("init", epilog="Example: inspector weights init untrained.safetensors")
def weights_init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Write fresh, untrained weights for the configured model."""
    settings = load_settings(config)
    from inspector.apps import weights as verb

    verb.init(settings, file, force, as_json)


@weights.command("show", epilog="Example: inspector weights show prompts.safetensors --json")
def weights_show(file: WeightsFile = None, as_json: Json = False, config: Config = None) -> None:
    """Print what a weights file was made for."""
    settings = load_settings(config)
    from inspector.apps import weights as verb

    verb.show(settings, file, as_json)


@weights.command("verify", epilog="Example: inspector weights verify prompts.safetensors")
def weights_verify(file: WeightsFile = None, as_json: Json = False, config: Config = None) -> None:
    """Verify a weights file: structure, hash, shapes, finite numbers, and the configured model."""
    settings = load_settings(config)
    from inspector.apps import weights as verb

    verb.verify(settings, file, as_json)


@weights.command("publish", epilog="Example: inspector weights publish tuned.safetensors --reason 'new scratches'")
def weights_publish(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Prompt weights for the configured model.")],
    by: By = None,
    reason: Reason = "published by hand",
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Verify weights, publish them, and offer them to the line as a candidate in shadow."""
    settings = load_settings(config)
    from inspector.apps import console
    from inspector.apps import release as verb

    with console.status("verifying the weights"):
        release = verb.publish(settings, file, by=by, reason=reason)
    if as_json:
        console.print_record(release)
    else:
        console.lines([f"published {release.weights_version}", "`inspector weights list` says how it fares"])


@weights.command("list", epilog="Example: inspector weights list --json")
def weights_list(as_json: Json = False, config: Config = None) -> None:
    """List the published weights: which serve, which are on trial, and what was found of these."""
    settings = load_settings(config)
    from inspector.apps import weights_list as verb

    verb.show(settings, as_json)


@weights.command("promote", epilog="Example: inspector weights promote --to canary --share 0.2")
def weights_promote(
    version: Version = None,
    to: Annotated[
        Literal["shadow", "canary", "full"] | None, typer.Option(help="The stage; default: the next one.")
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(metavar="X", min=0, max=1, help="Of the cameras, in stage canary; default: rollout.canary_share."),
    ] = None,
    by: By = None,
    reason: Reason = "",
    force: Force = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Take the candidate a stage on, or offer a version; inspectors follow between two batches."""
    settings = load_settings(config)
    from inspector.apps import weights_rollout as verb
    from inspector.domain.release import RolloutStage

    stage = None if to is None else RolloutStage(to)
    verb.promote(settings, version, stage, share, _request(by, reason, as_json, force))


@weights.command("rollback", epilog="Example: inspector weights rollback --reason 'false alarms on cam3'")
def weights_rollback(
    version: Version = None, by: By = None, reason: Reason = "", as_json: Json = False, config: Config = None
) -> None:
    """Take the candidate off; without one go back to the version before, or to VERSION, on all cameras.

    What is taken off is vetoed too: promote it with --force to bring it back.
    """
    settings = load_settings(config)
    from inspector.apps import weights_rollout as verb

    verb.rollback(settings, version, _request(by, reason, as_json))


@weights.command("pin", epilog="Example: inspector weights pin 3f2a --reason 'audit week'")
def weights_pin(
    version: Version = None,
    by: By = None,
    reason: Reason = "",
    force: Force = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Let one version serve all cameras until a person says otherwise; default: the one that serves."""
    settings = load_settings(config)
    from inspector.apps import weights_rollout as verb

    verb.pin(settings, version, _request(by, reason, as_json, force))


@weights.command("unpin", epilog="Example: inspector weights unpin")
def weights_unpin(by: By = None, reason: Reason = "", as_json: Json = False, config: Config = None) -> None:
    """Let rollouts go on from the pinned version."""
    settings = load_settings(config)
    from inspector.apps import weights_rollout as verb

    verb.unpin(settings, _request(by, reason, as_json))


@weights.command("advance", epilog="Example: inspector weights advance --json")
def weights_advance(by: By = None, as_json: Json = False, config: Config = None) -> None:
    """Do what was found of the version on trial says: take it a stage on, take it back, or wait. For timers."""
    settings = load_settings(config)
    from inspector.apps import console
    from inspector.apps import weights_rollout as verb

    advice = verb.advance(settings, by)
    if as_json:
        console.print_record(advice)
    else:
        console.lines([f"{advice.move.value}: {advice.reason}"])


def _request(by: str | None, reason: str, as_json: bool, force: bool = False) -> Request:
    from inspector.apps.weights_rollout import Request

    return Request(by, reason, force, as_json)
