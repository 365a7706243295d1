"""The list of metrics that people read is the one that is exported."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from inspector.cli import app
from inspector.domain.metrics import LABELS, METRICS

README = Path(__file__).resolve().parents[3] / "README.md"


def test_the_readme_has_the_table_that_the_command_prints() -> None:
    printed = CliRunner().invoke(app, ["metrics", "--markdown"])
    assert printed.exit_code == 0
    text = README.read_text(encoding="utf-8")
    table = text.split("<!-- inspector metrics --markdown -->\n")[1].split("<!-- end -->")[0]
    assert table == printed.stdout, "print it anew: .venv/bin/inspector metrics --markdown"


def test_machines_and_people_get_all_of_it() -> None:
    printed = CliRunner().invoke(app, ["metrics", "--json"])
    found = json.loads(printed.stdout)
    assert [each["name"] for each in found["metrics"]] == [metric.name for metric in METRICS]
    assert [each["name"] for each in found["labels"]] == list(LABELS)
    assert CliRunner().invoke(app, ["metrics"]).exit_code == 0
    assert CliRunner().invoke(app, ["metrics", "--json", "--markdown"]).exit_code == 2
