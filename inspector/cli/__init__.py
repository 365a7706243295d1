"""The command line: every verb reads the settings and calls one module of ``inspector.apps``.

Those modules load torch, OpenCV, Kafka's client or pydantic, so each is imported by its own verb only, and ``--help``
answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from inspector import __version__
from inspector.cli import day_two, language, line, method, pretraining, review, samples, tools, trainer, weights
from inspector.cli.boundary import Verbs

app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Streaming visual inspection: which defect, and where. Frames from Kafka, results in Redis, alerts out.",
    epilog="Exit codes: 0 done, 1 a problem described in one line, 2 wrong usage. Example: inspector doctor",
)
app.add_typer(line.app)
app.add_typer(method.app)
app.add_typer(pretraining.app)
app.add_typer(language.app)
app.add_typer(review.app)
app.add_typer(samples.app)
app.add_typer(trainer.app)
app.add_typer(tools.app)
app.add_typer(weights.app)
app.add_typer(day_two.app)


def _version(asked: bool) -> None:
    if asked:
        print(f"inspector {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    app(prog_name="inspector")
