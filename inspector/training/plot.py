"""The loss over the steps of a training run, drawn from its history file."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspector.domain.errors import BadInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TOTAL = "total"
# Okabe and Ito's palette, which colour-blind readers can tell apart; the dashes tell them apart in grey.
_LINES = {
    _TOTAL: ("#000000", "-"),
    "classification": ("#0072B2", "--"),
    "focal": ("#D55E00", "-."),
    "dice": ("#009E73", ":"),
}
_MOST_EPOCH_LABELS = 12
_DECADE = 10.0

Series = NDArray[np.float64]


def draw_loss(history: Path, out: Path) -> None:
    """Draw the total loss and its parts, raw (faint) and smoothed, over the steps; the same bytes for the same history.

    Args:
        history: one JSON object a line with ``step``, ``epoch``, ``total``, ``classification``, ``focal``, ``dice``.
            A killed run may leave part of a line, a resumed one the same step twice: what is no record is left out and
            counted in the picture, of two records of a step the later holds. Losses that are no finite number are gaps.
        out: where the SVG goes (or a PNG, if its name ends so).

    Raises:
        BadInputError: there is no record in ``history``, or one of the files cannot be read or written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    steps, unreadable = _read(history)
    x = np.array(sorted(steps), np.float64)
    picture = io.BytesIO()
    # Text as text and a fixed salt for the names of clip paths: small files, and the same bytes from the same history.
    with rc_context({"svg.hashsalt": "inspector", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        for name in _LINES:
            _draw_line(axes, x, np.array([_number(steps[int(step)].get(name)) for step in x]), name)
        _scale(axes)
        _mark_epochs(axes, x, [steps[int(step)].get("epoch") for step in x])
        axes.set_title(_title(len(x), unreadable), loc="left", fontsize=10, pad=16)
        axes.set_xlabel("optimiser step")
        axes.set_ylabel("loss (no unit, mean over a batch)")
        axes.grid(visible=True, which="major", alpha=0.2)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, ncols=2, fontsize=9)
        kind = "png" if out.suffix.lower() == ".png" else "svg"
        figure.savefig(picture, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)
    try:
        out.write_bytes(picture.getvalue())
    except OSError as error:
        raise BadInputError("a file that can be written", f"{error.strerror} for {out}", "choose another") from error


def _read(history: Path) -> tuple[dict[int, Mapping[str, Any]], int]:
    """Return the records by step, and how many lines are none."""
    try:
        lines = history.read_text("utf-8", errors="replace").splitlines()
    except OSError as error:
        raise BadInputError("a readable history of a run", f"{error.strerror} for {history}", "check it") from error
    steps: dict[int, Mapping[str, Any]] = {}
    unreadable = 0
    for line in lines:
        record = _record(line)
        if record is None:
            unreadable += bool(line.strip())
        else:
            steps[record["step"]] = record
    if not steps:
        raise BadInputError("one training step or more", f"none in {history}", "train for at least one step")
    return steps, unreadable


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = record.get("step") if isinstance(record, dict) else None
    # Beyond 2^53 a step is no whole number on the axis, and none that was counted.
    counted = isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 2**53
    return record if counted else None


def _number(value: object) -> float:
    finite = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if finite and isinstance(value, int | float) else math.nan


def _draw_line(axes: Axes, x: Series, y: Series, name: str) -> None:
    if np.isnan(y).all():
        return
    colour, dashes = _LINES[name]
    width = 2.0 if name == _TOTAL else 1.4
    label = name if name == _TOTAL else f"{name} (part of it)"
    for part in _segments(x, y):
        axes.plot(x[part], y[part], color=colour, alpha=0.2, linewidth=0.8)
        alone = part.stop - part.start == 1
        marker = "o" if alone else ""
        smooth = _smoothed(y[part])
        axes.plot(x[part], smooth, dashes, color=colour, linewidth=width, marker=marker, markersize=4, label=label)
        label = "_"  # matplotlib leaves names that begin so out of the legend: one entry a line, not one a segment


def _segments(x: Series, y: Series) -> list[slice]:
    """Split where values are missing, or where steps are further apart than they usually are."""
    usual = float(np.median(np.diff(x))) if len(x) > 1 else 1.0
    found: list[slice] = []
    start: int | None = None
    for i in range(len(x) + 1):
        missing = i == len(x) or math.isnan(y[i])
        if start is not None and (missing or x[i] - x[i - 1] > 1.5 * usual):
            found.append(slice(start, i))
            start = None
        if start is None and not missing:
            start = i
    return found


def _smoothed(y: Series) -> Series:
    """Return the mean over a twentieth of the curve around each point, over less of it at its ends."""
    half = len(y) // 40
    sums = np.concatenate([[0.0], np.cumsum(y)])
    place = np.arange(len(y))
    reach = np.minimum(half, np.minimum(place, len(y) - 1 - place))
    means: Series = (sums[place + reach + 1] - sums[place - reach]) / (2 * reach + 1)
    return means


def _scale(axes: Axes) -> None:
    drawn = [np.asarray(line.get_ydata(), np.float64) for line in axes.get_lines()]
    values = np.concatenate(drawn) if drawn else np.empty(0)
    if values.size and values.min() > 0 and values.max() > _DECADE * values.min():
        axes.set_yscale("log")


def _mark_epochs(axes: Axes, x: Series, epochs: list[Any]) -> None:
    begins = [i for i in range(len(x)) if epochs[i] is not None and (i == 0 or epochs[i] != epochs[i - 1])]
    every = max(1, math.ceil(len(begins) / _MOST_EPOCH_LABELS))
    for number, i in enumerate(begins):
        if i > 0:
            axes.axvline((x[i - 1] + x[i]) / 2, color="#888888", linewidth=0.6, alpha=0.6)
        if number % every == 0:
            name = f"epoch {str(epochs[i])[:12]}"
            axes.text(x[i], 1.01, name, transform=axes.get_xaxis_transform(), fontsize=7, color="#555555")


def _title(steps: int, unreadable: int) -> str:
    title = f"Training loss over {steps} step{'s' if steps != 1 else ''}"
    lines = f"{unreadable} line{'s' if unreadable != 1 else ''}"
    return f"{title} ({lines} of the history unreadable, left out)" if unreadable else title
