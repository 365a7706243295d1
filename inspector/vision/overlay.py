"""The picture beside a verdict: the frame as it is, a thin outline and a label for each defect, the verdict below.

Nothing is painted over the part and nothing is stretched per image, so a good part looks like a good part.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inspector.domain.defect import Defect
from inspector.domain.result import PredLabel
from inspector.vision.label_layout import Rect, place_label
from inspector.vision.opencv import cv2

# Okabe and Ito's palette without black and yellow's glare: told apart by colour-blind people, readable on metal.
_COLOURS = ((86, 180, 233), (230, 159, 0), (240, 110, 60), (0, 190, 140), (222, 130, 190), (240, 228, 66))
_DARK = (18, 20, 24)
_RED, _GREEN = (235, 80, 70), (60, 190, 110)
_SMALLEST_SIDE_PX = 720
_JPEG_QUALITY = 88

RGB = tuple[int, int, int]


def draw_overlay(
    frame: NDArray[np.uint8],
    defects: Sequence[Defect],
    label: PredLabel,
    score: float,
    threshold: float,
    caption: str = "",
    omitted: int = 0,
) -> bytes:
    """Return the overlay as JPEG: ``frame`` (uint8 [H, W, 3] RGB, small ones enlarged) and a strip below it.

    ``caption`` stands at the right of the strip (camera and time); ``omitted`` counts defects found, not listed.
    """
    factor = max(1, -(-_SMALLEST_SIDE_PX // max(frame.shape[:2])))
    canvas = frame.copy()
    if factor > 1:
        canvas = cast(NDArray[np.uint8], cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC))
    _draw_outlines(canvas, defects, factor)
    picture = Image.fromarray(canvas)
    _draw_labels(picture, defects, factor)
    return _encode(_with_strip(picture, _verdict(defects, label, score, threshold, omitted), label, caption))


def draw_mask(mask: NDArray[np.bool_], width_px: int, height_px: int) -> bytes:
    """Return ``mask`` (bool [S, S], on the map) as a PNG of the frame's own size, 255 where defective."""
    grown = cv2.resize(mask.astype(np.uint8) * 255, (width_px, height_px), interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(".png", grown)[1].tobytes()


def colour_of(defect_type: str) -> RGB:
    """Return a type's colour, the same in every picture and process."""
    return _COLOURS[sum(defect_type.encode()) % len(_COLOURS)]


def _draw_outlines(canvas: NDArray[np.uint8], defects: Sequence[Defect], factor: int) -> None:
    line_px = max(2, round(max(canvas.shape[:2]) / 640))
    outlines = [np.array(defect.polygon, np.int32) * factor for defect in defects]
    for outline in outlines:  # all halos first, so that none darkens a neighbour's line
        cv2.polylines(canvas, [outline], isClosed=True, color=_DARK, thickness=line_px + 2, lineType=cv2.LINE_AA)
    for defect, outline in zip(defects, outlines, strict=True):
        colour = colour_of(defect.defect_type)
        cv2.polylines(canvas, [outline], isClosed=True, color=colour, thickness=line_px, lineType=cv2.LINE_AA)


def _draw_labels(picture: Image.Image, defects: Sequence[Defect], factor: int) -> None:
    font = _font(_font_px(picture))
    pen = ImageDraw.Draw(picture, "RGBA")
    pad = max(3, round(font.size / 3))
    taken: list[Rect] = []
    boxes = [Rect(*(value * factor for value in defect.box)) for defect in defects]
    for defect, box in zip(defects, boxes, strict=True):
        text = f"{defect.defect_type}  {defect.score:.2f}"
        width, height = round(pen.textlength(text, font)) + 3 * pad, round(font.size * 1.25) + pad
        spot = place_label((width, height), box, picture.size, taken, gap=pad)
        if spot is None:
            continue
        taken.append(spot)
        right, bottom = spot.x + spot.w - 1, spot.y + spot.h - 1
        pen.rounded_rectangle((spot.x, spot.y, right, bottom), radius=pad, fill=(*_DARK, 215))
        bar = (spot.x, spot.y, spot.x + pad - 1, bottom)
        pen.rounded_rectangle(bar, radius=pad // 2, fill=colour_of(defect.defect_type))
        pen.text((spot.x + 2 * pad, spot.y + spot.h / 2), text, fill=(245, 245, 245), font=font, anchor="lm")


def _verdict(defects: Sequence[Defect], label: PredLabel, score: float, threshold: float, omitted: int) -> str:
    count = len(defects) + omitted
    found = "no region" if not count else f"{count} region{'s' if count > 1 else ''}"
    more = f", {omitted} not listed" if omitted else ""
    return f"{label.upper()}  {score:.2f}  (threshold {threshold:.2f})   {found}{more}"


def _with_strip(picture: Image.Image, verdict: str, label: PredLabel, caption: str) -> Image.Image:
    font = _font(_font_px(picture))
    strip_px = round(font.size * 2.2)
    whole = Image.new("RGB", (picture.width, picture.height + strip_px), _DARK)
    whole.paste(picture)
    pen = ImageDraw.Draw(whole)
    middle, edge, dot = picture.height + strip_px / 2, round(font.size * 0.8), font.size * 0.32
    colour = _RED if label is PredLabel.ANOMALOUS else _GREEN
    pen.ellipse((edge, middle - dot, edge + 2 * dot, middle + dot), fill=colour)
    left = edge + 2 * dot + font.size * 0.6
    room = picture.width - left - edge
    fitted = _shrink_to(pen, verdict, font, room)
    pen.text((left, middle), verdict, fill=(245, 245, 245), font=fitted, anchor="lm")
    used = pen.textlength(verdict, fitted) + 2 * font.size
    if used + pen.textlength(caption, font) <= room:
        pen.text((picture.width - edge, middle), caption, fill=(165, 170, 178), font=font, anchor="rm")
    return whole


def _shrink_to(
    pen: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, room: float
) -> ImageFont.FreeTypeFont:
    length = pen.textlength(text, font)
    return font if length <= room else _font(font.size * room / length)


def _font(size_px: float) -> ImageFont.FreeTypeFont:
    # Given a size, Pillow's own font is the scalable one (its FreeType is part of every wheel).
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size_px))


def _font_px(picture: Image.Image) -> int:
    return max(15, round(max(picture.size) / 60))


def _encode(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
