"""Writes a model card from what a person wrote down, what a command measured, and what the files say themselves.

python -m inspector.training.model_card FACTS.yaml METRICS.md FOLDER
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import safe_open

from inspector.dapo.model_folder import MODEL_FILE, PROMPTS_FILE
from inspector.dapo.weights_file import verify_weights
from inspector.domain.errors import BadInputError
from inspector.domain.weights import WeightsManifest
from inspector.training.model_folder import write_card

Text = Annotated[str, Field(min_length=3)]
_UNFINISHED = re.compile(r"TODO|TBD|FIXME|XXX|\?\?\?|\{\{|\}\}|lorem ipsum", re.IGNORECASE)


class _Written(BaseModel):
    """Something a person wrote down; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Written):
    """Data that the model learnt from."""

    name: Text
    what: Text
    licence: Text


class Try(_Written):
    """One thing that was tried. ``figure`` as measured, with its seeds; ``kept`` whether the model has it."""

    what: Text
    figure: Text
    kept: bool


class CardFacts(_Written):
    """What no file says of itself. ``training``: steps, hours, hardware, seeds and what else a reader should know."""

    title: Text
    summary: Text
    use: Annotated[list[Text], Field(min_length=1)]
    data: Annotated[list[Source], Field(min_length=1)]
    commands: Annotated[list[Text], Field(min_length=1)]
    training: Annotated[dict[str, Text], Field(min_length=4)]
    metrics_command: Text
    metrics_note: Text
    limits: Annotated[list[Text], Field(min_length=3)]
    tries: Annotated[list[Try], Field(min_length=1)]


def read_facts(path: Path) -> CardFacts:
    """Read what was written down.

    Raises:
        BadInputError: it cannot be read, lacks something, or has something unknown.
    """
    try:
        return CardFacts.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise BadInputError("a readable YAML file", f"{path}: {error}", "check the path and the file") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadInputError("what a model card says", f"{place}: {first['msg']} in {path}", "write it down") from error


def model_card(facts: CardFacts, metrics: str, folder: Path) -> str:
    """Return the card of the model in ``folder`` without its table of files. ``metrics``: Markdown of a command.

    Raises:
        BadInputError: something is unfinished, there is no table of metrics, or the folder holds no whole model.
    """
    if "|---" not in metrics:
        raise BadInputError("a table of metrics in Markdown", repr(metrics[:80]), f"make it by {facts.metrics_command}")
    manifest = verify_weights(folder / PROMPTS_FILE)
    card = "\n\n".join(
        [
            f"# {facts.title}",
            facts.summary,
            _table(("", ""), _from_files(folder, manifest)),
            "## Use",
            _bullets(facts.use),
            "## Data and licences",
            _table(("data", "what", "licence"), [(s.name, s.what, s.licence) for s in facts.data]),
            "## How it was made",
            _code(facts.commands),
            _table(("", ""), list(facts.training.items())),
            "## Metrics",
            facts.metrics_note,
            _code([facts.metrics_command]),
            metrics.strip(),
            "## Limits",
            _bullets(facts.limits),
            "## Appendix: what was tried",
            _table(("tried", "figure", "kept"), [(t.what, t.figure, "yes" if t.kept else "no") for t in facts.tries]),
        ]
    )
    if (unfinished := _UNFINISHED.search(card)) is not None:
        around = card[max(0, unfinished.start() - 30) : unfinished.end() + 30].replace("\n", " ")
        raise BadInputError("a finished card", f"{around!r}", "write what is missing")
    return card + "\n"


def _from_files(folder: Path, manifest: WeightsManifest) -> list[tuple[str, str]]:
    with safe_open(folder / MODEL_FILE, "pt") as tensors:
        sizes = {name: prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118  no mapping
    visual = sum(size for name, size in sizes.items() if name.startswith("visual."))
    tuned = f"tuned on {', '.join(manifest.tuned_on) or 'what they do not name'}" if manifest.trained else "not trained"
    return [
        ("model", f"`{manifest.model}` / `{manifest.pretrained}` at {manifest.image_size_px} px"),
        ("frozen weights", manifest.backbone),
        ("prompt weights", f"version {manifest.version}, {tuned}"),
        ("parameters", f"{visual / 1e6:.2f} M visual, {(sum(sizes.values()) - visual) / 1e6:.2f} M text"),
        ("types of defects", ", ".join(manifest.vocabulary) or "none"),
    ]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/').strip() for cell in line)} |" for line in lines)


def _bullets(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _code(commands: Sequence[str]) -> str:
    return "\n".join(["```sh", *(command.strip() for command in commands), "```"])


def main() -> None:
    """Replace the card of a folder."""
    if len(sys.argv) != 4:
        sys.exit(f"usage: {(__doc__ or '').splitlines()[-1]}")
    facts, metrics, folder = (Path(argument) for argument in sys.argv[1:])
    try:
        write_card(folder, model_card(read_facts(facts), metrics.read_text(encoding="utf-8"), folder))
    except (BadInputError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
