"""A model's words about a frame, held against the evidence: what is not in it is marked, not taken out.

The check is one of form: numbers, types, places, severity, verdict. An answer without a mark is not thereby true.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from inspector.domain.product import DEFAULT_DEFECT_NAMES
from inspector.domain.report import DefectReport, FrameReport
from inspector.domain.result import PredLabel

_UNITS = {"%": "%", "percent": "%", "mm": "mm", "px": "px", "pixel": "px", "pixels": "px"}
_UNITS |= dict.fromkeys(("millimetre", "millimetres", "millimeter", "millimeters"), "mm")
_OTHER_UNITS = (
    *("cm", "µm", "um", "m", "inch", "inches", "mm²", "mm2", "cm²", "cm2", "kg", "g", "°C", "°", "degrees"),
    *("metre", "metres", "meter", "meters", "centimetres", "centimeters", "micrometres", "micrometers", "microns"),
)
_NUMBER = re.compile(
    r"(?<![\w.,])(?!\d+(?:st|nd|rd|th)\b)(\d+(?:[.,]\d+)?)(?:\s?-?\s?("
    + "|".join((*_OTHER_UNITS, *_UNITS))
    + r")(?![\w²]))?",
    re.IGNORECASE,
)
_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER_WORD = re.compile(r"\b(" + "|".join(_WORDS) + r")\b", re.IGNORECASE)
_MANY = re.compile(r"\b(?:dozen|hundred|thousand)s?\b", re.IGNORECASE)
_ORDINALS = ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ORDINAL = re.compile(r"(?<![\w.,])(\d+)(?:st|nd|rd|th)\b|\b(" + "|".join(_ORDINALS) + r")\b", re.IGNORECASE)
_GRAVE = re.compile(r"\b(act now|serious|minor)\b", re.IGNORECASE)
# Types that models like to name, beside those that the product looks for.
_COMMON_TYPES = (
    *DEFAULT_DEFECT_NAMES,
    *("burn", "burr", "bubble", "chip", "corrosion", "crease", "cut", "deformation", "delamination", "dirt", "dust"),
    *("fold", "fracture", "misalignment", "pit", "rust", "short circuit", "smudge", "spot", "tear", "void", "wrinkle"),
)
_SAME = {"top": "upper", "bottom": "lower", "center": "centre", "central": "centre"}
_ROW, _COLUMN = r"(upper|top|lower|bottom|middle|centre|center)", r"(left|right|middle|centre|center)"
_PLACE = re.compile(rf"\b{_ROW}[ -]{_COLUMN}\b|\b(?:in|at|near) the (centre|center|middle)\b", re.IGNORECASE)
_EDGE = re.compile(r"\b(?:near|at|on|along|close to) the (?:\w+ )?(?:edge|border|rim)\b", re.IGNORECASE)
_GOOD = re.compile(
    r"\b(no (?:visible )?defects?|defect[- ]free|nothing (?:is )?wrong|looks? (?:good|normal|fine))\b", re.IGNORECASE
)
_BAD = re.compile(r"\b(?:is|looks) (anomalous|defective|faulty)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something in the answer that the evidence does not bear out; ``quote`` is as the model wrote it."""

    kind: Literal["not in the evidence", "contradicts the evidence"]
    quote: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the evidence. A ``fraction`` (0..1) may be written with decimals or as percent, not as 0 or 1."""

    value: float
    unit: str = ""
    fraction: bool = False


def check_answer(answer: str, report: FrameReport, vocabulary: Sequence[str]) -> tuple[Mark, ...]:
    """Return what in ``answer`` (untrusted) the report does not bear out, each once, in the order it is written.

    ``vocabulary``: the types the product is inspected for; one of them that was not found must not be claimed.
    """
    # Names may hold numbers and places of their own.
    names = {report.camera_id, report.frame_id, *_types(report)}
    rest = answer
    for name in sorted(names, key=len, reverse=True):
        rest = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", lambda found: " " * len(found[0]), rest, flags=re.IGNORECASE)
    found = sorted(
        [
            *_numbers(rest, list(_evidence_numbers(report))),
            *_ordinals(rest, report),
            *_severities(rest, report.defects),
            *_unknown_types(rest, report, vocabulary),
            *_places(rest, report.defects),
            *_verdict(rest, report.pred_label),
        ],
        key=lambda pair: pair[0],
    )
    return tuple(dict.fromkeys(mark for _, mark in found))


def _types(report: FrameReport) -> set[str]:
    return {name for defect in report.defects for name in (defect.defect_type, defect.runner_up) if name}


def _evidence_numbers(report: FrameReport) -> Iterator[Number]:
    recent = report.recent
    counts = (len(report.defects), recent.earlier, recent.earlier + 1, recent.earlier_anomalous, recent.rank)
    yield from (Number(count) for count in (*counts, recent.left_out, recent.ties, 1000))
    yield from (Number(value, fraction=True) for value in (report.anomaly_score, report.image_threshold))
    for defect in report.defects:
        yield from (Number(side, defect.unit) for side in (defect.width, defect.height))
        yield from (Number(value) for value in (defect.severity, defect.earlier_alike, defect.earlier_alike + 1))
        shares = (defect.score, defect.share, defect.type_probability, defect.runner_up_probability)
        yield from (Number(value, fraction=True) for value in shares if value is not None)


def _numbers(answer: str, known: Sequence[Number]) -> Iterator[tuple[int, Mark]]:
    for found in _NUMBER.finditer(answer):
        written = found[2].lower() if found[2] else ""
        if not any(_says(found[1].replace(",", "."), _UNITS.get(written, written), number) for number in known):
            yield found.start(), Mark("not in the evidence", found[0].strip())
    for found in _NUMBER_WORD.finditer(answer):
        value = str(_WORDS.index(found[1].lower()) + 2)
        if not any(_says(value, "", number) for number in known):
            yield found.start(), Mark("not in the evidence", found[0])


def _ordinals(answer: str, report: FrameReport) -> Iterator[tuple[int, Mark]]:
    """A place in a row is that of the score, of a recurring defect, or of a defect in the list; no count will do."""
    known = {report.recent.rank, *range(1, len(report.defects) + 1)}
    known |= {defect.earlier_alike + 1 for defect in report.defects}
    for found in _ORDINAL.finditer(answer):
        place = int(found[1][:9]) if found[1] else _ORDINALS.index(found[2].lower()) + 2
        if place not in known:
            yield found.start(), Mark("not in the evidence", found[0])
    yield from ((found.start(), Mark("not in the evidence", found[0])) for found in _MANY.finditer(answer))


def _severities(answer: str, defects: Sequence[DefectReport]) -> Iterator[tuple[int, Mark]]:
    words = {defect.severity_word for defect in defects}
    for found in _GRAVE.finditer(answer):
        if found[0].lower() not in words:
            yield found.start(), Mark("contradicts the evidence", found[0])


def _says(written: str, unit: str, number: Number) -> bool:
    digits = len(written.partition(".")[2])
    if number.fraction:
        as_percent = unit in ("", "%") and f"{100 * number.value:.{digits}f}" == written
        return as_percent or (unit == "" and digits > 0 and f"{number.value:.{digits}f}" == written)
    return unit in ("", number.unit) and f"{number.value:.{digits}f}" == written


def _unknown_types(answer: str, report: FrameReport, vocabulary: Iterable[str]) -> Iterator[tuple[int, Mark]]:
    # A word of a type that was found ("scratch" of "scratch head") is no other type.
    own = {word for name in _types(report) for word in (name.lower(), *name.lower().split())}
    for name in dict.fromkeys((*vocabulary, *_COMMON_TYPES)):
        if name.lower() in own:
            continue
        for found in re.finditer(rf"(?<!\w){re.escape(name)}(?:s|es|ed)?(?!\w)", answer, re.IGNORECASE):
            yield found.start(), Mark("not in the evidence", found[0])


def _places(answer: str, defects: Sequence[DefectReport]) -> Iterator[tuple[int, Mark]]:
    places = {defect.place for defect in defects}
    for found in _PLACE.finditer(answer):
        if _place(found) not in places:
            yield found.start(), Mark("contradicts the evidence", found[0])
    if not any(defect.near_edge for defect in defects):
        yield from ((found.start(), Mark("contradicts the evidence", found[0])) for found in _EDGE.finditer(answer))


def _place(found: re.Match[str]) -> str:
    if found[3]:
        return "centre"
    row, column = (_SAME.get(word.lower(), word.lower()) for word in (found[1], found[2]))
    row = "middle" if row == "centre" else row
    column = "centre" if column == "middle" else column
    return "centre" if (row, column) == ("middle", "centre") else f"{row} {column}"


def _verdict(answer: str, label: PredLabel) -> Iterator[tuple[int, Mark]]:
    pattern = _GOOD if label is PredLabel.ANOMALOUS else _BAD
    yield from ((found.start(), Mark("contradicts the evidence", found[0])) for found in pattern.finditer(answer))
