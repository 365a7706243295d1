"""The worst mistakes of a run on one picture: what was missed and what was taken for a defect, with truth and finding.

Figures say how many mistakes there are; only looking says which kind.
"""

from __future__ import annotations

import base64
import io
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from inspector.domain.text import shortened
from inspector.evaluation.unit_result import Example, UnitKey, UnitResult

_COLUMNS = 2
_TILE_PX = 240
_TEXT_PX = 34
_GAP_PX = 10
_FONT_PX = 13
_PAPER, _INK, _FAINT = (255, 255, 255), (18, 20, 24), (110, 114, 120)
_JPEG_QUALITY = 88
_MOST_LETTERS = 76


@dataclass(frozen=True, slots=True)
class Mistake:
    """An image ranked on the wrong side. ``share`` of the other kind's images of its class rank beyond it, above 0..1.

    A missed one scores no higher than so many of the good ones, a false alarm no lower than so many defective ones.
    """

    key: UnitKey
    example: Example
    missed: bool
    share: float


def worst_mistakes(units: Sequence[UnitResult], count: int = 10) -> list[Mistake]:
    """Return the worst mistakes among the examples of these units, worst first.

    By rank within the class: scores of different classes are in units of their own.
    """
    found = [mistake for unit in units for mistake in _mistakes_of(unit)]
    return sorted(found, key=lambda mistake: -mistake.share)[:count]


def _mistakes_of(unit: UnitResult) -> Iterator[Mistake]:
    good = sorted(image.raw_score for image in unit.images if not image.anomalous)
    defective = sorted(image.raw_score for image in unit.images if image.anomalous)
    for example in unit.examples:
        missed = bool(example.types)
        others = good if missed else defective
        if example.group != "worst" or not others:
            continue
        score = example.raw_score
        beyond = len(good) - bisect_left(good, score) if missed else bisect_right(defective, score)
        if beyond:
            yield Mistake(unit.key, example, missed, beyond / len(others))


def mistakes_picture(mistakes: Sequence[Mistake]) -> bytes:
    """Return a JPEG of one or more mistakes: of each the photograph with its truth, and under its score map."""
    rows = -(-len(mistakes) // _COLUMNS)
    cell_width, cell_height = 2 * _TILE_PX + _GAP_PX, _TEXT_PX + _TILE_PX
    size = (_COLUMNS * (cell_width + 2 * _GAP_PX), rows * (cell_height + 2 * _GAP_PX))
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)
    for number, mistake in enumerate(mistakes):
        row, column = divmod(number, _COLUMNS)
        x, y = _GAP_PX + column * (cell_width + 2 * _GAP_PX), _GAP_PX + row * (cell_height + 2 * _GAP_PX)
        _write(draw, (x, y), *_caption(mistake))
        for place, jpeg in enumerate((mistake.example.truth_jpeg, mistake.example.found_jpeg)):
            picture = Image.open(io.BytesIO(base64.b64decode(jpeg)))
            picture.thumbnail((_TILE_PX, _TILE_PX))
            left, top = x + place * (_TILE_PX + _GAP_PX), y + _TEXT_PX
            canvas.paste(picture, (left, top))
            draw.rectangle((left - 1, top - 1, left + picture.width, top + picture.height), outline=_FAINT)
    data = io.BytesIO()
    canvas.save(data, "JPEG", quality=_JPEG_QUALITY)
    return data.getvalue()


def _caption(mistake: Mistake) -> tuple[str, str]:
    key, example = mistake.key, mistake.example
    place = key.dataset if key.class_name == key.dataset else f"{key.dataset}, {key.class_name}"
    share = f"{100 * mistake.share:.0f} %"
    if mistake.missed:
        told = f"missed {', '.join(example.types)}: {share} of good images score as high"
    else:
        told = f"false alarm: {share} of defective images score as low"
    return told, f"{place}: {example.file}"


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], told: str, where: str) -> None:
    # The font that Pillow carries draws ASCII; names of files may hold anything.
    for line, (text, ink) in enumerate(((told, _INK), (where, _FAINT))):
        plain = shortened(text, _MOST_LETTERS).encode("ascii", "replace").decode("ascii")
        position = (at[0], at[1] + line * (_FONT_PX + 2))
        draw.text(position, plain, fill=ink, font=ImageFont.load_default(_FONT_PX))
