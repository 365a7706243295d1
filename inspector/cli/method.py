"""Verbs of the method: data sets looked at, weights tuned and measured, results explained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from inspector.cli.options import Config, Json, Weights, load_settings, weights_flag

app = typer.Typer()
dataset = typer.Typer(
    no_args_is_help=True,
    help="Look at labelled image folders before hours are spent on them.",
    epilog="Example: inspector dataset check mvtec/",
)
app.add_typer(dataset, name="dataset")

Vocabulary = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Own words for defect types (YAML), on top of the built-in ones."),
]
Classes = Annotated[str | None, typer.Option(metavar="LIST", help="Only these classes, as in screw,pill.")]
ObjectWord = Annotated[
    Literal["object", "class"],
    typer.Option("--object", help="What prompts call the part: the word 'object', or the class's folder name."),
]
Layout = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        # Named here: a page of help does not wait for the libraries that read layouts.
        help="How folders are laid out: mvtec-ad, mpdd, mad-sim, mad-real, visa, real-iad, mvtec-layout or "
        "normal-defect; default: what they look like.",
    ),
]


@dataset.command("check", epilog="Example: inspector dataset check photos/ --layout normal-defect")
def dataset_check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set, or one of its classes.")],
    layout: Layout = None,
    vocabulary: Vocabulary = None,
    as_json: Json = False,
) -> None:
    """Print what a data set holds and what is wrong with it: classes, types, counts, masks, unreadable files."""
    from inspector.apps import dataset as verb

    if not verb.check(folder, layout, vocabulary, as_json):
        raise typer.Exit(1)


@app.command(epilog="Example: inspector train mvtec/ --out prompts.safetensors")
def train(
    folders: Annotated[list[Path], typer.Argument(metavar="DATASET...", help="Labelled data sets, or single classes.")],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The weights, in a folder that exists; the run's own stands beside.")
    ],
    epochs: Annotated[int, typer.Option(min=1, max=10_000, help="Passes over the images.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, max=4096, help="Images a step, over all processes.")] = 8,
    lr: Annotated[float, typer.Option(min=1e-9, max=10, help="Adam's learning rate.")] = 1e-3,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of first weights, order and painted defects.")] = 0,
    text_mode: Annotated[
        Literal["causal", "bidirectional"] | None, typer.Option(help="Default: model.text_mode, or causal.")
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16"] | None,
        typer.Option(help="Of the visual tower; bf16 pays on a GPU. Default: model.precision."),
    ] = None,
    layer_tokens: Annotated[
        int, typer.Option(min=0, max=1000, help="Learnable tokens in each layer; 0 tunes without.")
    ] = 4,
    images_at_once: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of a batch in memory together; default: all.")
    ] = None,
    vocabulary: Vocabulary = None,
    classes: Classes = None,
    object_word: ObjectWord = "object",
    synthetic: Annotated[
        int, typer.Option(metavar="N", min=0, max=1_000_000, help="Examples painted on images of train/good.")
    ] = 0,
    start: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Weights to go on from; default: fresh ones.")
    ] = None,
    image_score: Annotated[
        Literal["cls", "fused", "mean", "contrast"] | None,
        typer.Option(help="Kind of image score the thresholds are of. Default: that of --from, or cls."),
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, whatever an earlier run left.")] = False,
    config: Config = None,
) -> None:
    """Tune prompt weights on labelled images; the same command goes on after Ctrl-C. Several GPUs: under torchrun.

    It learns from the labelled images of test/, good and defective; the good ones also give the thresholds.

    Images of train/good are used with --synthetic only: to paint defects on, and for the thresholds too.
    """
    from inspector.apps import train_output

    train_output.check(out, restart=restart)  # before torch, which takes its time to load
    chosen = {"text_mode": text_mode, "precision": precision}
    settings = load_settings(
        config, flags={"model": {key: value for key, value in chosen.items() if value is not None}}
    )
    from inspector.apps import train as verb
    from inspector.training.options import Effort, TrainingOptions

    options = TrainingOptions(
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        text_mode=settings.model.text_mode or "causal",
        precision=settings.model.training_precision,
        layer_tokens=layer_tokens,
        false_alarm_rate=settings.calibration.false_alarm_rate,
    )
    request = verb.Request(
        datasets=tuple(folders),
        out=out,
        options=options,
        effort=Effort(images_at_once=images_at_once),
        start=start,
        synonyms=vocabulary,
        classes=_names(classes),
        object_word=object_word,
        synthetic=synthetic,
        image_score=image_score,
        restart=restart,
    )
    code = verb.run(settings, request)
    if code:
        raise typer.Exit(code)


@app.command(epilog="Example: inspector evaluate mvtec/ visa/ --shots 0,1,4 --mutual --out evaluation/")
def evaluate(
    folders: Annotated[list[Path], typer.Argument(metavar="DATASET...", help="Data sets, or single classes.")],
    shots: Annotated[str, typer.Option(metavar="LIST", help="Normal images shown; 0 is zero-shot.")] = "0,1,2,4,8,16",
    mutual: Annotated[bool, typer.Option("--mutual", help="Also score each stream against itself.")] = False,
    stream_defects: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="At most such a share of a --mutual stream is defective: good training images come in between.",
        ),
    ] = 0.1,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Choices of shots, and orders of the stream.")] = 3,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Report, metrics, scores; a run there is gone on with.")
    ] = Path("evaluation"),
    classes: Classes = None,
    resolution: Annotated[
        Literal["model", "full"], typer.Option(help="Masks at the model's input size, or maps at the masks' own.")
    ] = "model",
    layout: Layout = None,
    weights: Weights = None,
    vocabulary: Vocabulary = None,
    object_word: ObjectWord = "object",
    controls: Annotated[
        bool,
        typer.Option("--controls", help="Also measure the model untrained, and hand-made features, beside it."),
    ] = False,
    beside: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A comparison.json to show beside this one; repeatable."),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew; replace a report of other weights or settings in DIR.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Measure zero-shot, k-shot and mutual scoring on labelled data; write a report, metrics and scores."""
    settings = load_settings(config, flags=weights_flag(weights))
    from inspector.apps.evaluate import run as verb
    from inspector.apps.evaluate.plan import Asked

    asked = Asked(
        shots=_shots(shots),
        mutual=mutual,
        seeds=seeds,
        classes=_names(classes),
        resolution=resolution,
        object_word=object_word,
        stream_defects=stream_defects,
    )
    request = verb.Request(
        paths=tuple(folders),
        asked=asked,
        out=out,
        layout=layout,
        vocabulary=vocabulary,
        as_json=as_json,
        restart=restart,
        controls=controls,
        beside=tuple(beside or ()),
    )
    code = verb.run(settings, request)
    if code:
        raise typer.Exit(code)


@app.command(epilog="Example: inspector ablate parts/ --only bank,mutual --seeds 3 --out ablation/")
def ablate(
    folders: Annotated[list[Path], typer.Argument(metavar="DATASET...", help="Data sets to measure on.")],
    train_on: Annotated[
        list[Path] | None,
        typer.Option(
            "--train",
            metavar="DATASET",
            help="Tune weights on it for each seed, and compare ways of tuning; repeatable.",
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Groups (zero-shot, training, bank, mutual) or rows, as in bank,zero-shot/fused; each group's default "
            "row always comes along. Default: all.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Of weights, shots and orders of the stream.")] = 3,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Tables, units and weights; a run there is gone on with.")
    ] = Path("ablation"),
    epochs: Annotated[int, typer.Option(min=1, max=10_000, help="Of each tuning.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, max=4096, help="Images a step of each tuning.")] = 8,
    lr: Annotated[float, typer.Option(min=1e-9, max=10, help="Adam's learning rate.")] = 1e-3,
    classes: Classes = None,
    layout: Layout = None,
    vocabulary: Vocabulary = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Measure what each ingredient of scoring and of tuning is worth: a row each, with its spread over seeds."""
    settings = load_settings(config)
    from inspector.apps.ablate import run as verb
    from inspector.apps.ablate.weights import Tuning

    tuning = Tuning(tuple(train_on), epochs, batch_size, lr, vocabulary) if train_on else None
    request = verb.Request(
        paths=tuple(folders),
        out=out,
        seeds=seeds,
        only=_names(only),
        tuning=tuning,
        classes=_names(classes),
        layout=layout,
        vocabulary=vocabulary,
        as_json=as_json,
    )
    code = verb.run(settings, request)
    if code:
        raise typer.Exit(code)


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise typer.BadParameter(f"a list of names as in screw,pill, not {text!r}")
    return names


def _shots(text: str) -> tuple[int, ...]:
    try:
        shots = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise typer.BadParameter(f"--shots is a list of numbers as in 0,1,4, not {text!r}") from None
    if any(not 0 <= number <= 1000 for number in shots):
        raise typer.BadParameter("--shots are 0 to 1000 normal images")
    return shots
