"""The picture beside a verdict: the frame as it is, a thin outline and a label for each defect, the verdict below.

Nothing is painted over the part and nothing is stretched per image, so a good part looks like a good part.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inspector.domain.defect import Defect, Point
from inspector.domain.result import PredLabel
from inspector.vision.label_layout import Rect, place_label
from inspector.vision.opencv import cv2

# Okabe and Ito's palette without black and yellow's glare (told apart by colour-blind people, readable on metal), then
# six more for products with many types.
_COLOURS = (
    *((86, 180, 233), (230, 159, 0), (240, 110, 60), (0, 190, 140), (222, 130, 190), (240, 228, 66)),
    *((150, 120, 255), (150, 220, 80), (255, 90, 120), (0, 215, 225), (200, 205, 215), (180, 115, 60)),
)
_DARK, _WHITE = (18, 20, 24), (245, 245, 245)
_RED, _GREEN = (235, 80, 70), (60, 190, 110)
_SMALLEST_SIDE_PX = 720
# A JPEG has at most 65,500 px a side, and nobody looks at so many; the pixels bound what drawing holds in memory.
_LARGEST_SIDE_PX = 16_000
_MAX_PIXELS = 6_000_000
_SMALLEST_FONT_PX = 8
_JPEG_QUALITY = 88

RGB = tuple[int, int, int]


def picture_size(width_px: int, height_px: int) -> tuple[int, int]:
    """Return width and height of the picture of a frame: itself, enlarged if small, reduced if very large."""
    longest = max(width_px, height_px)
    if longest < _SMALLEST_SIDE_PX:
        factor = -(-_SMALLEST_SIDE_PX // longest)
        return width_px * factor, height_px * factor
    scale = min(1.0, _LARGEST_SIDE_PX / longest, math.sqrt(_MAX_PIXELS / (width_px * height_px)))
    return max(1, int(width_px * scale)), max(1, int(height_px * scale))


def draw_overlay(
    pixels: NDArray[np.uint8],
    frame_size: tuple[int, int],
    defects: Sequence[Defect],
    label: PredLabel,
    score: float,
    threshold: float,
    caption: str = "",
    omitted: int = 0,
    types: Sequence[str] = (),
    highest: Point | None = None,
) -> bytes:
    """Return the overlay as JPEG: the frame at ``picture_size`` and a strip below it.

    ``pixels`` (uint8 [h, w, 3] RGB) show a frame of ``frame_size`` (width, height), perhaps reduced; defects are in
    pixels of the frame. ``caption`` stands at the right of the strip (camera and time), ``omitted`` counts defects
    found, not listed, and ``types`` are the product's, whose order gives the colours. ``highest``, in pixels of the
    frame, is where the map is highest: marked where there is no defect, so that one sees where to look.
    """
    width, height = picture_size(*frame_size)
    if pixels.shape[:2] != (height, width):
        enlarges = width > pixels.shape[1]
        interpolation = cv2.INTER_CUBIC if enlarges else cv2.INTER_AREA
        pixels = cast(NDArray[np.uint8], cv2.resize(pixels, (width, height), interpolation=interpolation))
    font_px = max(15, round(max(width, height) / 60))
    canvas = np.full((height + round(font_px * 2.2), width, 3), _DARK, np.uint8)
    canvas[:height] = pixels
    scale = (width / frame_size[0], height / frame_size[1])
    colours = [colour_of(defect.defect_type, types) for defect in defects]
    _draw_outlines(canvas[:height], defects, colours, scale)
    if highest is not None and not defects:
        _draw_spot(canvas[:height], highest, scale)
    picture = Image.fromarray(canvas)
    _draw_labels(picture, height, defects, colours, scale, _font(font_px))
    verdict = _verdict(len(defects) + omitted, omitted, label, score, threshold)
    _draw_strip(picture, height, verdict, label, caption, _font(font_px))
    return _encode(picture)


def draw_mask(mask: NDArray[np.bool_], width_px: int, height_px: int) -> bytes:
    """Return ``mask`` (bool [S, S], on the map) as a PNG of the frame's own size, 255 where defective."""
    grown = cv2.resize(mask.astype(np.uint8) * 255, (width_px, height_px), interpolation=cv2.INTER_NEAREST)
    done, png = cv2.imencode(".png", grown)
    if not done:
        raise ValueError(f"OpenCV cannot encode a mask of {width_px} x {height_px} px")
    return png.tobytes()


def colour_of(defect_type: str, types: Sequence[str]) -> RGB:
    """Return a type's colour by its place among the product's ``types``: the same in every picture, 12 in all."""
    return _COLOURS[types.index(defect_type) % len(_COLOURS) if defect_type in types else 0]


def _draw_outlines(
    canvas: NDArray[np.uint8], defects: Sequence[Defect], colours: Sequence[RGB], scale: tuple[float, float]
) -> None:
    line_px = max(2, round(max(canvas.shape[:2]) / 640))
    outlines = [np.rint(np.array(defect.polygon) * scale).astype(np.int32) for defect in defects]
    for outline in outlines:  # all halos first, so that none darkens a neighbour's line
        cv2.polylines(canvas, [outline], isClosed=True, color=_DARK, thickness=line_px + 2, lineType=cv2.LINE_AA)
    for colour, outline in zip(colours, outlines, strict=True):
        cv2.polylines(canvas, [outline], isClosed=True, color=colour, thickness=line_px, lineType=cv2.LINE_AA)


def _draw_spot(canvas: NDArray[np.uint8], highest: Point, scale: tuple[float, float]) -> None:
    """Draw a white ring about a place: no outline, for nothing is known of how far the defect reaches."""
    longest, shortest = max(canvas.shape[:2]), min(canvas.shape[:2])
    centre = tuple(round(value * factor) for value, factor in zip(highest, scale, strict=True))
    line_px, radius_px = max(2, round(longest / 640)), max(4, round(min(longest / 16, shortest / 3)))
    for colour, thickness in ((_DARK, line_px + 2), (_WHITE, line_px)):
        cv2.circle(canvas, centre, radius_px, colour, thickness, cv2.LINE_AA)


def _draw_labels(
    picture: Image.Image,
    height_px: int,
    defects: Sequence[Defect],
    colours: Sequence[RGB],
    scale: tuple[float, float],
    font: ImageFont.FreeTypeFont,
) -> None:
    """Name the defects beside their boxes, above ``height_px`` (the strip is below it); where there is no room, not."""
    pen = ImageDraw.Draw(picture, "RGBA")
    pad = max(3, round(font.size / 3))
    taken: list[Rect] = []
    for defect, colour in zip(defects, colours, strict=True):
        box = Rect(*(round(value * scale[axis % 2]) for axis, value in enumerate(defect.box)))
        text = f"{defect.type_text}  {defect.score:.2f}"
        width, height = round(pen.textlength(text, font)) + 3 * pad, round(font.size * 1.25) + pad
        spot = place_label((width, height), box, (picture.width, height_px), taken, gap=pad)
        if spot is None:
            continue
        taken.append(spot)
        right, bottom = spot.x + spot.w - 1, spot.y + spot.h - 1
        pen.rounded_rectangle((spot.x, spot.y, right, bottom), radius=pad, fill=(*_DARK, 215))
        pen.rounded_rectangle((spot.x, spot.y, spot.x + pad - 1, bottom), radius=pad // 2, fill=colour)
        pen.text((spot.x + 2 * pad, spot.y + spot.h / 2), text, fill=_WHITE, font=font, anchor="lm")


def _verdict(count: int, omitted: int, label: PredLabel, score: float, threshold: float) -> str:
    found = "no region" if not count else f"{count} region{'s' if count > 1 else ''}"
    more = f", {omitted} not listed" if omitted else ""
    return f"{label.upper()}  {score:.2f}  (threshold {threshold:.2f})   {found}{more}"


def _draw_strip(
    picture: Image.Image, top: int, verdict: str, label: PredLabel, caption: str, font: ImageFont.FreeTypeFont
) -> None:
    pen = ImageDraw.Draw(picture)
    middle, edge, dot = (top + picture.height) / 2, round(font.size * 0.8), font.size * 0.32
    colour = _RED if label is PredLabel.ANOMALOUS else _GREEN
    pen.ellipse((edge, middle - dot, edge + 2 * dot, middle + dot), fill=colour)
    left = edge + 2 * dot + font.size * 0.6
    room = picture.width - left - edge
    fitted = _shrunk(pen, verdict, font, room)
    if fitted is None:
        return
    pen.text((left, middle), verdict, fill=_WHITE, font=fitted, anchor="lm")
    used = pen.textlength(verdict, fitted) + 2 * font.size
    if used + pen.textlength(caption, font) <= room:
        pen.text((picture.width - edge, middle), caption, fill=(165, 170, 178), font=font, anchor="rm")


def _shrunk(
    pen: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, room_px: float
) -> ImageFont.FreeTypeFont | None:
    """Return ``font``, or a smaller one in which ``text`` fits; None where nobody could read that."""
    length = pen.textlength(text, font)
    if length <= room_px:
        return font
    size_px = font.size * room_px / length
    return _font(size_px) if size_px >= _SMALLEST_FONT_PX else None


def _font(size_px: float) -> ImageFont.FreeTypeFont:
    # Given a size, Pillow's own font is the scalable one (its FreeType is part of every wheel).
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size_px))


def _encode(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
