"""A replayed threshold as a picture: alarms at every threshold, and by type and shift, now and then."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from inspector.domain.text import printable
from inspector.domain.whatif import AlarmCounts, ShiftCounts, WhatIf

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind readers can tell apart; now is drawn hatched, then plain.
_NOW, _THEN = "#0072B2", "#D55E00"
_MOST_TYPES = 12
_NAME_CHARS = 24


def draw_whatif(found: WhatIf, scores: Sequence[float], kind: Literal["png", "svg"] = "svg") -> bytes:
    """Return the picture of a replay; ``scores`` are those of its frames. The same bytes for the same input."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    picture = io.BytesIO()
    with rc_context({"svg.hashsalt": "inspector", "svg.fonttype": "none", "text.parse_math": False}):
        figure = Figure(figsize=(12, 4.5), layout="constrained")
        title = f"Camera {_shown(found.camera_id)}: {found.frames} frames, {found.now} alarms now, {found.then} then"
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
        left, middle, right = figure.subplots(1, 3, width_ratios=[1.3, 1.2, 1])
        _draw_thresholds(left, found, scores)
        _draw_types(middle, found.by_type)
        _draw_shifts(right, found.by_shift, found.time_zone)
        figure.savefig(picture, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)
    return picture.getvalue()


def _draw_thresholds(axes: Axes, found: WhatIf, scores: Sequence[float]) -> None:
    from matplotlib.ticker import StrMethodFormatter

    ordered = np.sort(np.asarray(scores, np.float64))
    grid = np.linspace(0, 1, 201)
    axes.step(grid, len(ordered) - np.searchsorted(ordered, grid, "left"), where="pre", color="black", linewidth=1.4)
    if found.thresholds_now is not None:
        low, high = found.thresholds_now
        axes.axvspan(low, max(high, low + 0.002), color=_NOW, alpha=0.5, label="now")
    axes.axvline(found.image_threshold, color=_THEN, linewidth=1.6, label=f"then: {found.image_threshold:g}")
    axes.set_yscale("symlog", linthresh=10)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))  # the scale's own writes powers as mathematics
    axes.set(
        xlim=(0, 1),
        ylim=(0, max(1, len(ordered)) * 1.2),
        xlabel="image threshold",
        ylabel="frames that would be alarms",
    )
    axes.set_title("At every threshold", loc="left", fontsize=9)
    axes.legend(frameon=False, fontsize=8)


def _draw_types(axes: Axes, types: Sequence[AlarmCounts]) -> None:
    shown = types[:_MOST_TYPES]
    places = np.arange(len(shown))
    axes.barh(places - 0.2, [t.now for t in shown], 0.38, color=_NOW, hatch="//", alpha=0.7, label="now")
    axes.barh(places + 0.2, [t.then for t in shown], 0.38, color=_THEN, label="then")
    axes.set_yticks(places, [_shown(t.name) for t in shown], fontsize=8)
    axes.invert_yaxis()
    more = f", the {_MOST_TYPES} most frequent of {len(types)}" if len(types) > _MOST_TYPES else ""
    axes.set_title(f"Alarms by type{more}", loc="left", fontsize=9)
    axes.legend(frameon=False, fontsize=8)


def _draw_shifts(axes: Axes, shifts: Sequence[ShiftCounts], zone: str) -> None:
    places = np.arange(len(shifts))
    axes.bar(places - 0.2, [s.now for s in shifts], 0.38, color=_NOW, hatch="//", alpha=0.7)
    axes.bar(places + 0.2, [s.then for s in shifts], 0.38, color=_THEN)
    axes.set_xticks(places, [f"{s.name}\n{s.frames} frames" for s in shifts], fontsize=8)
    axes.set_title(f"Alarms by shift ({_shown(zone)})", loc="left", fontsize=9)


def _shown(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _NAME_CHARS else f"{line[:_NAME_CHARS]}..."
