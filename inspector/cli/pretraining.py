"""The verbs that make models from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from inspector.cli.options import Config, load_settings

app = typer.Typer()


@app.command(epilog="Example: inspector pretrain --photographs surfaces/ --images 100000 --out model/")
def pretrain(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the model; the run's own stands beside.")],
    images: Annotated[int, typer.Option(metavar="N", min=2, help="Pictures to see; more makes a run longer.")],
    photographs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photographs of flawless surfaces; a tenth is held out.")
    ] = None,
    validate_on: Annotated[
        list[Path] | None,
        typer.Option(metavar="DATASET", help="Paint defects on its train/good to watch progress; repeatable."),
    ] = None,
    from_pretrained: Annotated[
        bool, typer.Option("--from-pretrained", help="Begin with the weights of model.pretrained, not with fresh ones.")
    ] = False,
    fresh_text: Annotated[
        bool, typer.Option("--fresh-text", help="Of those weights take the visual tower alone, and learn words anew.")
    ] = False,
    teacher: Annotated[
        Literal["efficientnet-lite0", "texture"],
        typer.Option(help="What keeps texture: an ImageNet network's features, or hand-made ones."),
    ] = "efficientnet-lite0",
    pairs: Annotated[int, typer.Option(metavar="N", min=1, max=4096, help="Pairs of pictures a step.")] = 8,
    lr: Annotated[float, typer.Option(min=1e-9, max=1, help="AdamW's highest learning rate.")] = 1e-3,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of first weights and all pictures.")] = 0,
    precision: Annotated[
        Literal["fp32", "bf16"] | None,
        typer.Option(help="bf16 pays on a GPU, and on a CPU with AMX. Default: model.precision."),
    ] = None,
    render_processes: Annotated[
        int, typer.Option(metavar="N", min=0, max=256, help="Paint ahead in so many; for a GPU, as many as cores.")
    ] = 0,
    validate_every_min: Annotated[float, typer.Option(metavar="MINUTES", min=0.1, help="Between validations.")] = 15,
    image_score: Annotated[
        Literal["cls", "fused", "mean", "contrast"], typer.Option(help="Kind of image score the thresholds are of.")
    ] = "mean",
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, whatever an earlier run left.")] = False,
    config: Config = None,
) -> None:
    """Train a whole small CLIP model on rendered defects; the same command goes on after Ctrl-C.

    On two CPU cores for hours, or on a GPU; several processes share the work under torchrun. The larger teacher needs
    deploy/pretrain.lock installed.
    """
    from inspector.apps import train_output

    train_output.check_model(out, restart=restart)  # before torch, which takes its time to load
    if fresh_text and not from_pretrained:
        raise typer.BadParameter("--fresh-text leaves out a part of what --from-pretrained takes: give both")
    settings = load_settings(config, flags={"model": {} if precision is None else {"precision": precision}})
    from inspector.apps import pretrain as verb
    from inspector.training.pretraining.options import PretrainingEffort, PretrainingOptions

    request = verb.Request(
        out=out,
        images=images,
        options=PretrainingOptions(pairs_a_step=pairs, lr=lr, seed=seed, fresh_text=fresh_text),
        effort=PretrainingEffort(render_processes=render_processes, validate_every_s=60 * validate_every_min),
        teacher=teacher,
        photographs=photographs,
        validate_on=tuple(validate_on or ()),
        restart=restart,
        from_pretrained=from_pretrained,
        image_score=image_score,
    )
    code = verb.run(settings, request)
    if code:
        raise typer.Exit(code)


@app.command(epilog="Example: inspector pretrain-types --photographs surfaces/ --looks 100000 --out types/")
def pretrain_types(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the model; the run's own stands beside.")],
    looks: Annotated[int, typer.Option(metavar="N", min=2, help="Looks to have; more makes a run longer.")],
    photographs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photographs of flawless surfaces; a tenth is held out.")
    ] = None,
    begin_fresh: Annotated[
        bool, typer.Option("--begin-fresh", help="Begin with a fresh tower, not with one that has seen ImageNet.")
    ] = False,
    words_of: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Begin with the words of this model, not with fresh ones.")
    ] = None,
    from_pretrained: Annotated[
        bool, typer.Option("--from-pretrained", help="Train model.region_types on, towers and words.")
    ] = False,
    looks_a_step: Annotated[int, typer.Option(metavar="N", min=1, max=4096, help="Looks a step.")] = 32,
    block_scenes: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=100_000, help="Scenes painted at a time, 4 MB each, and looked at for 128 steps."
        ),
    ] = 512,
    lr: Annotated[float, typer.Option(min=1e-9, max=1, help="AdamW's highest learning rate.")] = 4e-4,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of first weights and all pictures.")] = 0,
    precision: Annotated[
        Literal["fp32", "bf16"] | None,
        typer.Option(help="bf16 pays on a GPU, and on a CPU with AMX. Default: model.precision."),
    ] = None,
    render_processes: Annotated[
        int, typer.Option(metavar="N", min=0, max=256, help="Paint ahead in so many; for a GPU, as many as cores.")
    ] = 0,
    validate_every_min: Annotated[float, typer.Option(metavar="MINUTES", min=0.1, help="Between validations.")] = 10,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, whatever an earlier run left.")] = False,
    config: Config = None,
) -> None:
    """Train the model that says which type a region shows; the same command goes on after Ctrl-C.

    It looks closer at rendered defects, 100,000 times in about an hour on two CPU cores; several processes share the
    work under torchrun. ImageNet's weights, which it begins with, need deploy/pretrain.lock installed.
    """
    from inspector.apps import train_output

    train_output.check_model(out, restart=restart)  # before torch, which takes its time to load
    if from_pretrained and (begin_fresh or words_of is not None):
        raise typer.BadParameter("--from-pretrained takes all of a model: leave out --begin-fresh and --words-of")
    settings = load_settings(config, flags={"model": {} if precision is None else {"precision": precision}})
    from inspector.apps import pretrain_types as verb
    from inspector.training.pretraining.options import PretrainingEffort
    from inspector.training.region_types.options import TypingOptions

    request = verb.Request(
        out=out,
        looks=looks,
        options=TypingOptions(looks_a_step=looks_a_step, block_scenes=block_scenes, lr=lr, seed=seed),
        effort=PretrainingEffort(render_processes=render_processes, validate_every_s=60 * validate_every_min),
        photographs=photographs,
        begin_fresh=begin_fresh,
        words_of=words_of,
        from_pretrained=from_pretrained,
        restart=restart,
    )
    code = verb.run(settings, request)
    if code:
        raise typer.Exit(code)
