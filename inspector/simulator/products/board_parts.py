"""Components of a printed circuit board, drawn from above, and the pads they stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.surfaces import FloatImage
from inspector.vision.opencv import cv2

SCALE = 2  # drawn twice as large and shrunk: OpenCV's own anti-aliasing is too coarse for pins 5 px wide

Colour = tuple[int, int, int]
Rect = tuple[float, float, float, float]  # left, top, right, bottom in pixels from the component's middle

_TIN, _BODY, _GOLD = (186, 190, 190), (44, 43, 42), (96, 178, 214)


@dataclass(frozen=True, slots=True)
class Sprite:
    """A component: colours float32 [h, w, 3] and coverage float32 [h, w], middle on the component's middle."""

    colours: FloatImage = field(repr=False)
    coverage: FloatImage = field(repr=False)

    def moved(self, degrees: float, shift: tuple[float, float]) -> Sprite:
        """Return the component rotated about its middle (counter-clockwise), then moved by (x, y) pixels."""
        h, w = self.coverage.shape
        turn = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), degrees, 1.0)
        turn[:, 2] += np.array(shift)
        premultiplied = cv2.warpAffine(self.colours * self.coverage[..., None], turn, (w, h))
        coverage = np.asarray(cv2.warpAffine(self.coverage, turn, (w, h)), np.float32)
        colours = premultiplied / np.maximum(coverage, 1e-3)[..., None]
        return Sprite(np.asarray(colours, np.float32), coverage)


class Canvas:
    """A drawing area of ``size`` (w, h) pixels with the origin in its middle."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._half = (size[0] / 2, size[1] / 2)
        self._colours = np.zeros((size[1] * SCALE, size[0] * SCALE, 3), np.uint8)
        self._coverage = np.zeros(self._colours.shape[:2], np.uint8)

    def box(self, rect: Rect, colour: Colour, relief: int = 0) -> None:
        """Fill ``rect``; ``relief`` lightens the edges that face the lamp and darkens the others."""
        left, top, right, bottom = self._at(rect[0], rect[1]) + self._at(rect[2], rect[3])
        cv2.rectangle(self._coverage, (left, top), (right - 1, bottom - 1), 255, -1)
        cv2.rectangle(self._colours, (left, top), (right - 1, bottom - 1), colour, -1)
        if relief:
            light, dark = (tuple(int(np.clip(c + s * relief, 0, 255)) for c in colour) for s in (1, -1))
            for a, b, shade in (
                ((left, top), (right - 1, top), light),
                ((left, top), (left, bottom - 1), light),
                ((left, bottom - 2), (right - 1, bottom - 2), dark),
                ((right - 2, top), (right - 2, bottom - 1), dark),
            ):
                cv2.line(self._colours, a, b, shade, 3)

    def disc(self, centre: tuple[float, float], radius: float, colour: Colour) -> None:
        """Fill a disc."""
        at, size = self._at(*centre), round(radius * SCALE)
        cv2.circle(self._coverage, at, size, (255,), -1)
        cv2.circle(self._colours, at, size, colour, -1)

    def arc(self, radius: float, start: float, end: float, colour: Colour) -> None:
        """Fill the segment of a disc in the middle between two angles in degrees."""
        size = round(radius * SCALE)
        points = cv2.ellipse2Poly(self._at(0, 0), (size, size), 0, round(start), round(end), 3)
        cv2.fillConvexPoly(self._colours, np.array(points, np.int32), colour)

    def text(self, words: str, left_baseline: tuple[float, float], height: float, colour: Colour) -> None:
        """Write ``words`` without widening the coverage."""
        at = self._at(*left_baseline)
        cv2.putText(self._colours, words, at, cv2.FONT_HERSHEY_SIMPLEX, height * SCALE / 22, colour, 1, cv2.LINE_AA)

    def sprite(self) -> Sprite:
        """Return what was drawn."""
        h, w = self._coverage.shape
        size = (w // SCALE, h // SCALE)
        part = self._coverage.astype(np.float32)[..., None] / 255
        colours = cv2.resize(self._colours * part, size, interpolation=cv2.INTER_AREA)
        coverage = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.float32)
        return Sprite(np.asarray(colours / np.maximum(coverage, 1e-3)[..., None], np.float32), coverage)

    def _at(self, x: float, y: float) -> tuple[int, int]:
        return round((x + self._half[0]) * SCALE), round((y + self._half[1]) * SCALE)


@dataclass(frozen=True, slots=True)
class Component:
    """One component of the layout: middle in pixels from the board's, ``lying`` turned by 90 degrees."""

    kind: str
    x: int
    y: int
    label: str
    lying: bool = False


def pads(kind: str) -> list[Rect]:
    """Return the solder pads of a component, upright."""
    return list(_PADS[kind]())


def draw(component: Component, tone: float) -> Sprite:
    """Draw a component, its body ``tone`` grey levels lighter than nominal."""
    sprite = _DRAW[component.kind](component.label, tone)
    if not component.lying:
        return sprite
    return Sprite(np.ascontiguousarray(np.rot90(sprite.colours)), np.ascontiguousarray(np.rot90(sprite.coverage)))


def _toned(colour: Colour, tone: float) -> Colour:
    b, g, r = (int(np.clip(c + tone, 0, 255)) for c in colour)
    return b, g, r


def _chip(body: Colour, text: Colour | None) -> Callable[[str, float], Sprite]:
    def render(label: str, tone: float) -> Sprite:
        canvas = Canvas((64, 64))
        canvas.box((-22, -11, 22, 11), _TIN, 26)
        canvas.box((-14, -11, 14, 11), _toned(body, tone), 14)
        if text:
            canvas.text(label, (-13, 5), 10, text)
        return canvas.sprite()

    return render


def _chip_pads() -> Iterator[Rect]:
    yield (-28, -13, -12, 13)
    yield (12, -13, 28, 13)


def _gull_leads(rows: int, pitch: float, reach: float) -> Iterator[Rect]:
    for k in range(rows):
        y = (k - (rows - 1) / 2) * pitch
        yield (-reach, y - 3.5, reach, y + 3.5)


def _small_ic(label: str, tone: float) -> Sprite:
    canvas = Canvas((140, 140))
    for lead in _gull_leads(4, 22, 50):
        canvas.box(lead, _TIN, 22)
    canvas.box((-34, -46, 34, 46), _toned(_BODY, tone), 22)
    canvas.disc((-23, -34), 5, _toned(_BODY, tone - 18))
    canvas.text(label, (-27, 2), 13, (150, 152, 152))
    canvas.text("2641", (-19, 22), 11, (130, 132, 132))
    return canvas.sprite()


def _small_ic_pads() -> Iterator[Rect]:
    for left, top, right, bottom in _gull_leads(4, 22, 56):
        yield (left, top - 2, left + 22, bottom + 2)
        yield (right - 22, top - 2, right, bottom + 2)


def _processor(label: str, tone: float) -> Sprite:
    canvas = Canvas((280, 280))
    for left, top, right, bottom in _gull_leads(15, 12, 118):
        canvas.box((left, top, right, bottom), _TIN, 20)
        canvas.box((top, left, bottom, right), _TIN, 20)
    canvas.box((-100, -100, 100, 100), _toned(_BODY, tone), 24)
    canvas.disc((-80, -80), 8, _toned(_BODY, tone - 18))
    canvas.text(label, (-62, -8), 22, (158, 160, 160))
    canvas.text("R2 2641 TH", (-56, 24), 15, (140, 142, 142))
    return canvas.sprite()


def _processor_pads() -> Iterator[Rect]:
    for left, top, right, bottom in _gull_leads(15, 12, 124):
        for low in (left, right - 20):
            yield (low, top, low + 20, bottom)
            yield (top, low, bottom, low + 20)


def _can(label: str, tone: float) -> Sprite:
    canvas = Canvas((120, 120))
    canvas.box((-46, -46, 46, 46), (36, 34, 33), 12)
    canvas.disc((0, 0), 43, (150, 152, 152))
    canvas.disc((0, 0), 40, _toned((196, 199, 199), tone))
    canvas.arc(40, 120, 240, (40, 38, 38))
    canvas.text(label, (-12, -4), 15, (60, 60, 60))
    canvas.text("16V", (-12, 18), 13, (60, 60, 60))
    return canvas.sprite()


def _can_pads() -> Iterator[Rect]:
    yield (-54, -9, -20, 9)
    yield (20, -9, 54, 9)


def _header(label: str, tone: float) -> Sprite:
    canvas = Canvas((110, 340))
    canvas.box((-30, -150, 30, 150), _toned((196, 212, 216), tone), 26)
    canvas.box((-20, -140, 20, 140), _toned((168, 184, 188), tone), -14)
    for k in range(9):
        canvas.box((-7, -128 + k * 30, 7, -114 + k * 30), _GOLD, 30)
    return canvas.sprite()


def _header_pads() -> Iterator[Rect]:
    for k in range(9):
        yield (28, -126 + k * 30, 44, -116 + k * 30)


def _crystal(label: str, tone: float) -> Sprite:
    canvas = Canvas((120, 70))
    canvas.disc((-30, 0), 22, (128, 130, 130))
    canvas.disc((30, 0), 22, (128, 130, 130))
    canvas.box((-30, -22, 30, 22), (128, 130, 130))
    canvas.disc((-29, 0), 18, _toned((192, 196, 196), tone))
    canvas.disc((29, 0), 18, _toned((192, 196, 196), tone))
    canvas.box((-29, -18, 29, 18), _toned((192, 196, 196), tone))
    canvas.text(label, (-27, 5), 13, (80, 80, 80))
    return canvas.sprite()


def _crystal_pads() -> Iterator[Rect]:
    yield (-44, -6, -30, 6)
    yield (30, -6, 44, 6)


_DRAW: dict[str, Callable[[str, float], Sprite]] = {
    "resistor": _chip((40, 38, 37), (190, 190, 190)),
    "capacitor": _chip((98, 142, 172), None),
    "diode": _chip((58, 62, 78), (206, 206, 206)),
    "small ic": _small_ic,
    "processor": _processor,
    "can": _can,
    "header": _header,
    "crystal": _crystal,
}
_PADS: dict[str, Callable[[], Iterator[Rect]]] = {
    "resistor": _chip_pads,
    "capacitor": _chip_pads,
    "diode": _chip_pads,
    "small ic": _small_ic_pads,
    "processor": _processor_pads,
    "can": _can_pads,
    "header": _header_pads,
    "crystal": _crystal_pads,
}


def pad_mask(shape: tuple[int, int], components: tuple[Component, ...]) -> NDArray[np.uint8]:
    """Return all pads as uint8 [H * SCALE, W * SCALE], 255 on a pad; the origin is the middle of ``shape``."""
    mask = np.zeros((shape[0] * SCALE, shape[1] * SCALE), np.uint8)
    for component in components:
        for left, top, right, bottom in pads(component.kind):
            x0, y0, x1, y1 = (top, -right, bottom, -left) if component.lying else (left, top, right, bottom)
            corner = (
                round((component.x + x0 + shape[1] / 2) * SCALE),
                round((component.y + y0 + shape[0] / 2) * SCALE),
            )
            far = (round((component.x + x1 + shape[1] / 2) * SCALE), round((component.y + y1 + shape[0] / 2) * SCALE))
            cv2.rectangle(mask, corner, far, 255, -1)
    return mask
