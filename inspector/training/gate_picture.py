"""A gate's decision as a picture: where both weights put each frame, and what was gained and lost where."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from inspector.domain.gate import GateDecision, GroupFigure
from inspector.domain.text import printable
from inspector.pipeline.gate_evidence import FrameEvidence, GateEvidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind readers can tell apart; the marks tell them apart in grey.
_BETTER, _WORSE, _SAME, _WITHIN_MARGIN = "#009E73", "#D55E00", "#777777", "#E69F00"
_KINDS = ((False, "normal", "o"), (True, "anomalous", "^"))
_MOST_GROUPS = 24
_MOST_REASONS = 8
_NAME_CHARS = 40
_LINE_CHARS = 150


def draw_gate(decision: GateDecision, evidence: GateEvidence, kind: Literal["png", "svg"] = "png") -> bytes:
    """Return the picture of a decision; the same bytes for the same decision and evidence.

    Left: each frame's score by the current and by the candidate weights, in colour where the verdict changed. Right:
    the gains with their intervals, and how the error of each camera and type changed, beside the margin for these.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    picture = io.BytesIO()
    with rc_context({"svg.hashsalt": "inspector", "svg.fonttype": "none", "text.parse_math": False}):
        figure = Figure(figsize=(12, 6.5), layout="constrained")
        figure.suptitle(_title(decision), x=0.01, ha="left", fontsize=9)
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.3])
        _draw_scores(left, evidence.frames)
        _draw_changes(right, decision)
        figure.savefig(picture, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)
    return picture.getvalue()


def _title(decision: GateDecision) -> str:
    verdict = "accepted" if decision.accepted else "refused"
    head = f"Weights {_shown(decision.candidate_version)[:12]} after {_shown(decision.current_version)[:12]}: {verdict}"
    reasons = list(decision.reasons[:_MOST_REASONS])
    if len(decision.reasons) > _MOST_REASONS:
        reasons.append(f"... and {len(decision.reasons) - _MOST_REASONS} more reasons")
    return "\n".join([head, *(textwrap.shorten(f"- {_shown(reason)}", _LINE_CHARS) for reason in reasons)])


def _draw_scores(axes: Axes, frames: Sequence[FrameEvidence]) -> None:
    for anomalous, word, mark in _KINDS:
        for change, colour, size in ((0, _SAME, 10), (1, _BETTER, 26), (-1, _WORSE, 26)):
            shown = [
                (f.current_score, f.candidate_score)
                for f in frames
                if f.anomalous == anomalous and _change(f) == change
                if f.candidate_score is not None and math.isfinite(f.candidate_score + f.current_score)
            ]
            if shown:
                label = f"{word}, {('no change', 'now right', 'now wrong')[change]} ({len(shown)})"
                x, y = zip(*shown, strict=True)
                axes.scatter(x, y, s=size, c=colour, marker=mark, alpha=0.7, linewidths=0, label=label)
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="score by the current weights", ylabel="by the candidate")
    axes.set_title("Frames (alarm or none)", loc="left", fontsize=9)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, frameon=False, loc="lower right")


def _change(frame: FrameEvidence) -> int:
    """Return 1 where the candidate is right about alarming and the current is not, -1 the other way round, else 0."""
    return int(frame.candidate_alarm == frame.anomalous) - int(frame.current_alarm == frame.anomalous)


def _draw_changes(axes: Axes, decision: GateDecision) -> None:
    gains = (
        ("all frames", decision.gain),
        ("frozen set", decision.frozen_gain),
        ("corrected", decision.corrected_gain),
    )
    rows: list[str] = []
    for name, gain in gains:
        if gain is not None:
            colour = _BETTER if gain.low > 0 else _WORSE if gain.high < 0 else _SAME
            axes.plot([gain.low, gain.high], [len(rows)] * 2, color=colour, linewidth=2)
            axes.plot([gain.value], [len(rows)], "D", color=colour, markersize=5)
            rows.append(f"{name} ({gain.frames})")
    worst = sorted(decision.groups, key=lambda g: (not g.fell, g.current_error - g.candidate_error))
    for group in worst[:_MOST_GROUPS]:
        less = group.current_error - group.candidate_error
        colour = _WORSE if group.fell else _SAME if group.too_few else _BETTER if less >= 0 else _WITHIN_MARGIN
        axes.barh([len(rows)], [less], color=colour, height=0.6)
        rows.append(_group_name(group))
    axes.axvline(0, color="black", linewidth=0.8)
    axes.axvline(-decision.limits.group_margin, color=_WORSE, linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(rows)), rows, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("error less than by the current weights (dashed: the margin of cameras and types)", fontsize=8)
    left_out = len(decision.groups) - _MOST_GROUPS
    more = f"; the {left_out} best of these not shown" if left_out > 0 else ""
    axes.set_title(f"Gains, cameras and types (frames){more}", loc="left", fontsize=9)


def _group_name(group: GroupFigure) -> str:
    kind = "anomalous" if group.anomalous else "normal"
    name = _shown(group.name)
    name = name if len(name) <= _NAME_CHARS else f"{name[:_NAME_CHARS]}..."
    words = {"camera": f"{name}, {kind}", "type": f"type {name}", "held_out": f"corrected, not trained on, {kind}"}
    few = ", too few" if group.too_few else ""
    return f"{words[group.kind]} ({group.frames}{few})"


def _shown(text: str) -> str:
    return printable(" ".join(text.split()))
