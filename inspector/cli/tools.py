"""Verbs beside the line: score without a broker, check and set up what the line needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from inspector.cli.options import Config, Json, Weights, load_settings, weights_flag
from inspector.domain.product import MAX_TILES

app = typer.Typer()
topics = typer.Typer(
    no_args_is_help=True, help="Create or check the Kafka topics.", epilog="Example: inspector topics create"
)
config_topic = typer.Typer(
    no_args_is_help=True,
    help="Announce products and cameras of inspector.yaml to running inspectors.",
    epilog="Example: inspector config push",
)
app.add_typer(topics, name="topics")
app.add_typer(config_topic, name="config")


@app.command(epilog="Example: inspector score photos/ --reference photos/good --out out/ --format csv")
def score(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images or folders of images.")],
    defects: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Defect types to look for, as in scratch,dent.")
    ] = None,
    product: Annotated[
        str, typer.Option(metavar="NAME", help="Whose types, their thresholds, areas and tiles: products.NAME.")
    ] = "default",
    reference: Annotated[Path | None, typer.Option(metavar="DIR", help="Normal images of the same part.")] = None,
    mutual: Annotated[
        bool,
        typer.Option(
            "--mutual",
            help="Compare the images with each other: at least 8, mostly good; above 128 (fewer with tiles) in blocks.",
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write results, overlays and masks there.")] = None,
    file_format: Annotated[
        Literal["json", "jsonl", "csv"] | None,
        typer.Option("--format", help="Of the results file in --out; default: json."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Masks by TYPE/STEM_mask.png, for the AUROC; default: `ground_truth` beside `test`."
        ),
    ] = None,
    tiles: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=MAX_TILES,
            help="Look through N x N overlapping tiles; default: those of the product.",
        ),
    ] = None,
    image_threshold: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            min=0,
            max=1,
            help="Score from which an image is anomalous; default: the reference's, weights'.",
        ),
    ] = None,
    weights: Weights = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Score images or folders, without Kafka or Redis."""
    if file_format is not None and out is None:
        raise typer.BadParameter("--format is that of the results file in --out, which is not given")
    if mutual and reference is not None:
        raise typer.BadParameter("--mutual compares the images with each other, --reference with others: give one")
    settings = load_settings(config, flags=weights_flag(weights))
    from inspector.apps import score as verb

    names = None if defects is None else tuple(name.strip() for name in defects.split(",") if name.strip())
    request = verb.Request(
        tuple(paths),
        defects=names,
        reference=reference,
        out=out,
        file_format=file_format or "json",
        truth=truth,
        as_json=as_json,
        tiles=tiles,
        mutual=mutual,
        image_threshold=image_threshold,
        product=product,
    )
    verb.run(settings, request)


@app.command(epilog="Example: inspector doctor --settings")
def doctor(
    show_settings: Annotated[
        bool, typer.Option("--settings", help="Print the effective settings, secrets masked.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Check Kafka, topics, Redis, device, model and weights, and say what to do."""
    settings = load_settings(config)
    from inspector.apps import doctor as verb

    if show_settings:
        verb.show_settings(settings, as_json)
    elif not verb.run(settings, as_json):
        raise typer.Exit(1)


@app.command(epilog="Example: inspector bench --model inspector-s --image-size 256 --out bench.json")
def bench(
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Default: the settings' model. Random weights.")
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(metavar="PX", min=32, max=2048, help="Default: model.image_size_px, or the model's own."),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "int8"] | None, typer.Option(help="Default: model.precision of the settings.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=96, max=1_000_000, help="Frames end to end; growth of memory needs 5000.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A glance instead of a measurement.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the JSON document there.")] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Measure each stage, the whole line and the bare model on this machine, against the Kafka and Redis configured."""
    chosen = {"name": model, "image_size_px": image_size, "precision": precision}
    flags: dict[str, object] = {key: value for key, value in chosen.items() if value is not None}
    settings = load_settings(config, flags={"model": flags})
    if settings.model.weights is None and flags.keys() & {"name", "image_size_px"}:
        # As fast as any, and there are some for every model and size.
        settings = load_settings(config, flags={"model": flags | {"pretrained": "random"}})
    from dataclasses import replace

    from inspector.apps.bench import run as verb

    effort = verb.QUICK if quick else verb.Effort()
    verb.run(settings, config, effort if frames is None else replace(effort, frames=frames), out, as_json)


@app.command(epilog="Example: inspector schema result")
def schema(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A record: see --list.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the records.")] = False,
    as_json: Json = False,
) -> None:
    """Print the JSON Schema of a record."""
    if (name is None) is not list_all:
        raise typer.BadParameter("give a NAME or --list")
    from inspector.apps import schema as verb

    if name is None:
        verb.names(as_json)
    else:
        verb.show(name)


@app.command(epilog="Example: inspector metrics --json")
def metrics(
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables of the README.")] = False,
) -> None:
    """List every metric that the service exports, with its labels."""
    if as_json and markdown:
        raise typer.BadParameter("--json and --markdown exclude each other")
    from inspector.apps import metrics as verb

    verb.show(as_json, markdown)


@topics.command("create", epilog="Example: inspector topics create")
def topics_create(as_json: Json = False, config: Config = None) -> None:
    """Create the topics that are missing."""
    settings = load_settings(config)
    from inspector.apps import topics as verb

    verb.create(settings, as_json)


@topics.command("grow", epilog="Example: inspector topics grow -c inspector.yaml")
def topics_grow(as_json: Json = False, config: Config = None) -> None:
    """Raise the partitions to those of the settings; producers are stopped and nothing waits, or it is refused."""
    settings = load_settings(config)
    from inspector.apps import topics as verb

    verb.grow(settings, as_json)


@topics.command("check", epilog="Example: inspector topics check --json")
def topics_check(as_json: Json = False, config: Config = None) -> None:
    """Compare the topics with the settings."""
    settings = load_settings(config)
    from inspector.apps import topics as verb

    verb.check(settings, as_json)


@config_topic.command("push", epilog="Example: inspector config push -c inspector.yaml")
def config_push(as_json: Json = False, config: Config = None) -> None:
    """Announce the products and cameras of the settings; inspectors take them between two batches."""
    settings = load_settings(config)
    from inspector.apps import config as verb

    verb.push(settings, as_json)


@config_topic.command("list", epilog="Example: inspector config list --json")
def config_list(as_json: Json = False, config: Config = None) -> None:
    """List the announced banks, calibrations, products and cameras."""
    settings = load_settings(config)
    from inspector.apps import config as verb

    verb.show(settings, as_json)
