"""Charts as inline SVG, drawn here instead of by a plotting library.

The page's policy allows no inline style, its colours follow the reader's dark or light screen, and a chart is to be
the same bytes for the same data: all colour is by class, and the style sheet has the colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from inspector.evaluation.unit_result import Points

HISTOGRAM_BINS = 40
# Distinct line styles in the sheet; more curves than this share them.
STYLES = 7

_LEFT, _TOP, _RIGHT, _BOTTOM = 54, 12, 14, 40
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart, through its first ``joined`` points (None: all).

    ``spread`` has the standard deviation at each point, where there is one.
    """

    label: str
    points: Points
    spread: tuple[float | None, ...] = ()
    joined: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """Where data lies on the picture: ``x`` from ``x_low`` to ``x_high``, ``y`` likewise, in a box of px."""

    width: int
    height: int
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        """Return the picture's x of a value."""
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return round(_LEFT + share * (self.width - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        """Return the picture's y of a value; it grows downwards."""
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return round(self.height - _BOTTOM - share * (self.height - _TOP - _BOTTOM), 1)

    @property
    def plot(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the area that data may fill."""
        return _LEFT, _TOP, self.width - _RIGHT, self.height - _BOTTOM


def curves(series: Sequence[Curve], x_label: str, y_label: str, x_high: float = 1.0, chance: bool = False) -> Markup:
    """Return a chart of curves over x 0..``x_high`` and y 0..1; ``chance`` draws the diagonal."""
    frame = Frame(500, 320, 0, x_high, 0, 1)
    body = [_axes(frame, x_label, y_label)]
    if chance:
        body.append(_path(frame, ((0, 0), (x_high, x_high)), "chance"))
    for number, curve in enumerate(series):
        body.append(_path(frame, curve.points, f"line s{number % STYLES}", curve.label))
    return _picture(frame, f"{y_label} over {x_label}", body)


def over_shots(series: Sequence[Curve], labels: Sequence[str], y_label: str) -> Markup:
    """Return a chart over categories: x of a point is its place in ``labels``. Whiskers are one standard deviation."""
    values = [y for curve in series for _, y in curve.points]
    lowest = max(0.0, np.floor((min(values, default=0.0) - 0.03) * 10) / 10)
    frame = Frame(640, 320, -0.4, len(labels) - 0.6, float(lowest), 1)
    body = [_axes(frame, "normal images shown", y_label, x_ticks=tuple(enumerate(labels)))]
    for number, curve in enumerate(series):
        style = f"s{number % STYLES}"
        body.append(_path(frame, curve.points[: curve.joined], f"line {style}", curve.label))
        for (x, y), deviation in zip(curve.points, curve.spread, strict=True):
            if deviation:
                low, high = frame.y(max(y - deviation, frame.y_low)), frame.y(min(y + deviation, 1))
                body.append(Markup('<path class="line {}" d="M{},{}V{}"/>').format(style, frame.x(x), low, high))
            dot = Markup('<circle class="dot {}" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>')
            body.append(dot.format(style, frame.x(x), frame.y(y), f"{curve.label}: {y:.3f}"))
    return _picture(frame, f"{y_label} by normal images shown", body)


def histogram(normal: Sequence[float], defective: Sequence[float]) -> tuple[Markup, Frame]:
    """Return the score histogram of normal and defective images, each as a share of its own kind, and its frame."""
    scores = np.array([*normal, *defective], np.float64)
    low, high = (float(scores.min()), float(scores.max())) if scores.size else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    shares = [np.histogram(kind, HISTOGRAM_BINS, (low, high))[0] / max(len(kind), 1) for kind in (normal, defective)]
    frame = Frame(1040, 250, low, high, 0, max(0.05, float(max(share.max() for share in shares)) * 1.08))
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1)
    body = [_axes(frame, "raw image score", "share of images", y_format="{:.0%}")]
    for name, share in zip(("normal", "defective"), shares, strict=True):
        bars = "".join(
            f"M{frame.x(edges[i])},{frame.y(0)}V{frame.y(share[i])}H{frame.x(edges[i + 1])}V{frame.y(0)}Z"
            for i in range(HISTOGRAM_BINS)
            if share[i]
        )
        body.append(
            Markup('<path class="bars {}" d="{}"><title>{}</title></path>').format(name, bars, f"{name} images")
        )
    left, top, _, bottom = frame.plot
    # Where it stands is up to the slider's script, which also shows it.
    body.append(Markup('<path class="threshold" d="M{},{}V{}"/>').format(left, top, bottom))
    return _picture(frame, "histogram of image scores, normal and defective", body), frame


def _axes(
    frame: Frame,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[tuple[float, str]] | None = None,
    y_format: str = "{:.2g}",
) -> Markup:
    left, top, right, bottom = frame.plot
    if x_ticks is None:
        x_ticks = [(value, f"{value:.4g}") for value in _round_ticks(frame.x_low, frame.x_high)]
    parts = []
    for value in _round_ticks(frame.y_low, frame.y_high):
        y, text = frame.y(value), y_format.format(value)
        parts.append(Markup('<path class="grid" d="M{},{}H{}"/>').format(left, y, right))
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>').format(left - 6, y + 4, text)
        )
    for value, text in x_ticks:
        mark = Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>')
        parts.append(mark.format(frame.x(float(value)), bottom + 16, text))
    parts.append(Markup('<path class="axis" d="M{},{}V{}H{}"/>').format(left, top, bottom, right))
    label = Markup('<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>')
    parts.append(label.format((left + right) / 2, frame.height - 6, x_label))
    turned = Markup('<text class="label" transform="translate(12,{}) rotate(-90)" text-anchor="middle">{}</text>')
    parts.append(turned.format((top + bottom) / 2, y_label))
    return Markup("").join(parts)


def _round_ticks(low: float, high: float) -> list[float]:
    """Return the multiples of 1, 2 or 5 times a power of ten in ``low..high``, four to ten of them."""
    rough = (high - low) / _TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [float(n * step) for n in range(int(np.ceil(low / step)), int(np.floor(high / step + 1e-9)) + 1)]


def _path(frame: Frame, points: Points, classes: str, label: str = "") -> Markup:
    if not points:
        return Markup("")
    line = "L".join(f"{frame.x(x)},{frame.y(y)}" for x, y in points)
    return Markup('<path class="{}" d="M{}"><title>{}</title></path>').format(classes, line, label)


def _picture(frame: Frame, description: str, body: Sequence[Markup]) -> Markup:
    opening = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return opening.format(frame.width, frame.height, escape(description)) + Markup("").join(body) + Markup("</svg>")
