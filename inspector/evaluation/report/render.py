"""One HTML file that holds everything: no address in it is ever fetched, and nothing that is not ours can run."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from inspector.evaluation.report.page import TUNED_ON, Evaluation, dataset_view
from inspector.evaluation.report.published import literature

_PACKAGE = "inspector.evaluation.report"


def render(evaluation: Evaluation) -> str:
    """Return the report as HTML. Names of files, classes and types in it are escaped: they come from others."""
    style, script = _asset("report.css"), _asset("report.js")
    environment = Environment(
        loader=PackageLoader(_PACKAGE, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(
        "report.html.j2"
    ).render(
        policy=_policy(style, script),
        # Our own files, as they are in the package.
        style=Markup(style),  # noqa: S704  our own file, see above
        script=Markup(script),  # noqa: S704  our own file, see above
        evaluation=evaluation,
        datasets=[dataset_view(dataset, number) for number, dataset in enumerate(evaluation.datasets)],
        literature=literature(),
        tuned_on=f"{TUNED_ON[0].upper()}{TUNED_ON[1:]}.",
    )


def _policy(style: str, script: str) -> str:
    """Return the content security policy: this style, this script, pictures inside the page, and nothing else."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _asset(name: str) -> str:
    return files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")
