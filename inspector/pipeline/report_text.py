"""The sentences of a report: fixed templates, filled with what the result says and nothing else.

How numbers are written: scores with two decimals, probabilities as whole percent, shares of the frame as percent with
two decimals (four below 0.1 %), sizes as ``pipeline.sizes`` writes them, everything else as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from inspector.domain.defect import Defect
from inspector.domain.report import DefectReport, RecentFrames, Whole
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.domain.text import printable
from inspector.pipeline.sizes import size_text

# Below this share of the frame, two decimals would leave little of it.
SMALL_PERCENT = 0.1


@dataclass(frozen=True, slots=True)
class DefectFacts:
    """What a defect's sentence is made from; names as in ``domain.report.DefectReport``."""

    defect: Defect
    place: str
    near_edge: bool
    whole: Whole
    width: float
    height: float
    unit: Literal["px", "mm"]
    severity_word: str
    type_word: str | None
    earlier_alike: int
    earlier: int


def unit(defect: Defect) -> Literal["px", "mm"]:
    """Return the unit in which a defect's size is known."""
    return "px" if defect.area_mm2 is None else "mm"


def sentence(facts: DefectFacts) -> str:
    """Return all that is known of a defect, for example::

    scratch upper left, near the edge of the frame: 12.4 x 0.8 mm, 0.41 % of the frame; severity 712 of 1000: act now;
    score 0.91. Probably scratch (62 %), less likely the runner-up dent (21 %). No scratch there in the 49 frames
    before.
    """
    defect = facts.defect
    name = printable(defect.defect_type)
    edge = ", near the edge" if facts.near_edge else ""
    what = f"{name} {facts.place}{edge} of the {facts.whole}"
    size = size_text(facts.width, facts.height, facts.unit)
    percent = 100 * defect.area_fraction
    share = f"{percent:.{2 if percent >= SMALL_PERCENT else 4}f} % of the frame"
    grave = f"severity {defect.severity} of 1000: {facts.severity_word}"
    parts = [f"{what}: {size}, {share}; {grave}; score {defect.score:.2f}.", _type(facts), _history(facts, name)]
    return " ".join(part for part in parts if part)


def frame(
    result: InspectionResult,
    verdict: str,
    defects: Sequence[DefectReport],
    recent: RecentFrames,
    limits: Sequence[str],
    file: str | None = None,
) -> str:
    """Return the whole report: verdict, a line a defect, comparison (not of an image ``file``), limits."""
    shown = f"Camera {printable(result.camera_id)}" if file is None else printable(file)
    score, threshold = f"{result.anomaly_score:.2f}", f"{result.image_threshold:.2f}"
    lines = [f"{shown}: {verdict}, anomaly score {score}, threshold {threshold}. {_found(result)}"]
    lines += [f"- {defect.sentence}" for defect in defects]
    if file is None:
        lines.append(_comparison(recent))
    lines += [f"Limit: {limit}." for limit in limits]
    return "\n".join(lines)


def limits(result: InspectionResult) -> tuple[str, ...]:
    """Return what the result cannot tell."""
    found = []
    if result.weights_trained is False:
        found.append("the weights are untrained, so each type is a guess")
        if result.mode is ScoreMode.ZERO_SHOT:
            found.append("zero-shot scores and places of untrained weights mean nothing")
    if result.weights_trained is None:
        found.append("the result does not say whether its weights were trained")
    if any(defect.area_mm2 is None for defect in result.defects):
        found.append("the size of a pixel is not known, so sizes are in pixels")
    return tuple(found)


def _found(result: InspectionResult) -> str:
    anomalous, count = result.pred_label is PredLabel.ANOMALOUS, len(result.defects)
    if not count and anomalous:
        return "The frame as a whole is anomalous; no region of it reaches its threshold and minimum area."
    if not count:
        return "No region reaches its threshold: nothing to report."
    listed = "1 region is" if count == 1 else f"{count} regions are"
    if anomalous:
        return f"{listed} listed."
    return f"{listed} listed although the frame as a whole is normal."


def _type(facts: DefectFacts) -> str:
    defect = facts.defect
    if defect.type_probability is None:
        return "Nothing told the types apart."
    if defect.runner_up is None or defect.runner_up_probability is None or facts.type_word is None:
        return f"No other type than {printable(defect.defect_type)} was looked for."
    chosen = f"{facts.type_word.capitalize()} {printable(defect.defect_type)} ({100 * defect.type_probability:.0f} %)"
    other = f"the runner-up {printable(defect.runner_up)} ({100 * defect.runner_up_probability:.0f} %)"
    if defect.type_is_close:
        return f"{chosen}, hardly told apart from {other}."
    return f"{chosen}, less likely {other}."


def _history(facts: DefectFacts, name: str) -> str:
    if not facts.earlier:
        return ""
    if not facts.earlier_alike:
        before = "frame" if facts.earlier == 1 else f"{facts.earlier} frames"
        return f"No {name} there in the {before} before."
    return f"The {ordinal(facts.earlier_alike + 1)} of the last {facts.earlier + 1} frames with {name} there."


def _comparison(recent: RecentFrames) -> str:
    left_out = ""
    if recent.left_out:
        left_out = f" Left out, of another product or judged in another way: {recent.left_out}."
    if not recent.earlier:
        return f"No earlier frames of this camera to compare with.{left_out}"
    place = "highest" if recent.rank == 1 else f"{ordinal(recent.rank)} highest"
    shared = f", with {recent.ties} more of that score" if recent.ties else ""
    return (
        f"Its score is the {place} of the last {recent.earlier + 1} frames of this camera, itself included{shared}; "
        f"{recent.earlier_anomalous} of the {recent.earlier} before it were anomalous.{left_out}"
    )


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 4th, 11th, 21st..."""
    last = 0 if 10 < number % 100 < 14 else number % 10
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"
