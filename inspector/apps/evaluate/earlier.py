"""What an earlier run left in the folder that a run writes to: gone on with, refused, or removed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inspector.domain.errors import BadInputError

METRICS_FILE, TABLE_FILE, SCORES_FILE, REPORT_FILE = "metrics.json", "metrics.csv", "scores.jsonl", "report.html"
MISTAKES_FILE = "mistakes-{}.jpg"
COMPARISON_FILE, COMPARISON_TABLE = "comparison.json", "comparison.md"
UNITS_FOLDER, CONTROLS_FOLDER = "units", "controls"


def refuse_another(out: Path, about: Mapping[str, object]) -> None:
    """See to it that a report of other weights or settings is not replaced unasked; ``about`` as in ``metrics.json``.

    Other shots, seeds or data sets are no other report: a run goes on with what is there.

    Raises:
        BadInputError: the folder holds the metrics of other weights or settings, or a file that says neither.
        OSError: the file cannot be read.
    """
    file = out / METRICS_FILE
    try:
        earlier = json.loads(file.read_bytes())
    except FileNotFoundError:
        return
    except ValueError:
        earlier = None
    if different := _different(earlier, json.loads(json.dumps(about))):
        raise BadInputError(
            f"the same weights and settings as of the report in {out}",
            different,
            "choose another --out, or replace that report with --restart",
        )


def _different(earlier: Any, now: Mapping[str, Any]) -> str | None:
    """Return in words what differs, None where nothing does."""
    if not isinstance(earlier, dict) or not isinstance(earlier.get("settings"), dict):
        return f"a {METRICS_FILE} that says neither"
    if earlier.get("weights_version") != now["weights_version"]:
        return f"weights {now['weights_version'][:12]}, there {str(earlier.get('weights_version'))[:12]}"
    before, settings = earlier["settings"], now["settings"]
    names = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
    return f"other settings: {', '.join(names)}" if names else None


def remove(out: Path) -> None:
    """Remove the report and the units of an earlier run, and nothing else.

    Raises:
        OSError: a file cannot be removed.
    """
    for name in (METRICS_FILE, TABLE_FILE, SCORES_FILE, REPORT_FILE, COMPARISON_FILE, COMPARISON_TABLE):
        (out / name).unlink(missing_ok=True)
    for picture in out.glob(MISTAKES_FILE.format("*")):
        picture.unlink()
    of_controls = (out / CONTROLS_FOLDER).glob(f"*/seed*/{UNITS_FOLDER}/*.json")
    for unit in [*(out / UNITS_FOLDER).glob("*.json"), *of_controls]:
        unit.unlink()
