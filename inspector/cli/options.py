"""Options and arguments that several verbs share, and the settings they all start with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from inspector.settings import Settings

Config = Annotated[
    Path | None,
    typer.Option("-c", "--config", metavar="FILE", help="Settings file; default: ./inspector.yaml if it is there."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Prompt weights; default: model.weights of the settings, or the bundled ones."),
]
Camera = Annotated[str, typer.Argument(metavar="CAMERA", help="The camera's id.")]
FalseAlarmRate = Annotated[
    float | None,
    typer.Option(
        min=1e-6, max=0.499, help="Share of good frames that may alarm; default: calibration.false_alarm_rate."
    ),
]


def weights_flag(file: Path | None) -> Mapping[str, Any] | None:
    """Return ``--weights`` as ``load_settings`` takes flags."""
    return None if file is None else {"model": {"weights": file}}


def load_settings(config: Path | None, *, kafka_log: bool = False, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings and set up logging; ``kafka_log`` lets Kafka's client speak for itself.

    ``flags`` (nested as the settings are) win over everything.

    Raises:
        BadInputError: as ``settings.load``.
    """
    import logging

    from inspector import settings
    from inspector.adapters.telemetry.logs import configure_logging

    loaded = settings.load(config, flags)
    configure_logging(level=loaded.log_level)
    if not kafka_log:
        # A command that meets no broker says so in one line of its own; the client's retries would bury it.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
    return loaded
