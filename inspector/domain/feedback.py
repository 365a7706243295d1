"""What a person says about a frame's verdict (schema ``inspection.feedback/1``)."""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from inspector.domain.checks import check_word
from inspector.domain.defect import Box
from inspector.domain.errors import BadInputError
from inspector.domain.result import PredLabel

FEEDBACK_SCHEMA = "inspection.feedback/1"

MAX_NOTE_CHARS = 2_000
MAX_BOXES = 100
_MAX_ID_CHARS = 128
# No camera has so many pixels in a row, and every sum and product of them is a number that anything can take.
_MOST_PX = 1_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAMESPACE = uuid.UUID("3f1f6c1e-8d0b-5c7b-9a52-6c1d3e8b7a40")


def person_key(name: str) -> str:
    """Return the same for all ways to write a name: "Anna" and "anna" are one person, not two who agree."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


class FeedbackVerdict(StrEnum):
    """What a person says of the service's verdict."""

    RIGHT = "right"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Feedback:
    """One person's word on one frame, as judged by one weights version.

    ``pred_label`` and ``pred_type`` (of the gravest defect; None on a normal frame) are what the service had said.
    ``defect_type`` is the right type where that is wrong; None there: there is no defect, it was a false alarm.
    ``boxes`` (pixels of the frame as captured) and ``mask_version`` say where the defect is; the mask is a PNG of one
    channel in the frame's own size, 255 where the defect is, in the store of ``wiring.feedback_masks``.
    ``new_type``: the type was not in the product's vocabulary when it was given. ``given_at`` is timezone-aware.

    Raises:
        BadInputError: a value out of range, or values that contradict each other.
    """

    frame_id: str
    camera_id: str
    weights_version: str
    verdict: FeedbackVerdict
    person: str
    given_at: datetime
    pred_label: PredLabel
    defect_type: str | None = None
    boxes: tuple[Box, ...] = ()
    mask_version: str | None = None
    note: str = ""
    product: str = "default"
    pred_type: str | None = None
    new_type: bool = False
    schema: str = FEEDBACK_SCHEMA

    def __post_init__(self) -> None:
        for name in ("frame_id", "camera_id", "weights_version", "product"):
            _check_id(name, getattr(self, name))
        check_word("a person's name", self.person)
        for name in ("defect_type", "pred_type"):
            if (word := getattr(self, name)) is not None:
                check_word(name, word)
        if self.given_at.utcoffset() is None:
            raise BadInputError("given_at with a time zone", str(self.given_at), "write it in UTC, ending in Z")
        _check_given_at(self.given_at)
        _check_note(self.note)
        if self.mask_version is not None and not _SHA256.fullmatch(self.mask_version):
            raise BadInputError("mask_version as a SHA-256 in hex", repr(self.mask_version[:100]), "correct it")
        _check_boxes(self.boxes)
        self._check_sense()

    @property
    def feedback_id(self) -> str:
        """The same for whatever this person says of this frame as judged by these weights: the later word counts."""
        said = json.dumps([self.frame_id, self.person, self.weights_version])  # so that no two triples meet
        return str(uuid.uuid5(_NAMESPACE, said))

    @property
    def true_label(self) -> PredLabel:
        """What the frame is, by this person's word."""
        if self.verdict is FeedbackVerdict.RIGHT:
            return self.pred_label
        return PredLabel.NORMAL if self.defect_type is None else PredLabel.ANOMALOUS

    @property
    def true_type(self) -> str | None:
        """The type of the defect, by this person's word; None where there is none, or where nobody named one."""
        if self.true_label is PredLabel.NORMAL:
            return None
        return self.pred_type if self.verdict is FeedbackVerdict.RIGHT else self.defect_type

    def _check_sense(self) -> None:
        if self.verdict is FeedbackVerdict.RIGHT and self.defect_type is not None:
            raise BadInputError(
                "no type beside a verdict that is right", repr(self.defect_type), "leave it out, or say wrong"
            )
        if self.verdict is FeedbackVerdict.WRONG and self.defect_type is None and self.pred_label is PredLabel.NORMAL:
            raise BadInputError(
                "the type of the defect that was missed", "none", "name it: the frame was judged normal, which is wrong"
            )
        if (self.boxes or self.mask_version) and self.true_label is PredLabel.NORMAL:
            raise BadInputError(
                "no box and no mask on a frame without a defect",
                f"{len(self.boxes)} boxes{' and a mask' if self.mask_version else ''}",
                "name the defect's type, or leave them out",
            )


def _check_id(name: str, value: str) -> None:
    if not value.strip() or len(value) > _MAX_ID_CHARS or not value.isprintable():
        raise BadInputError(
            f"{name} of 1 to {_MAX_ID_CHARS} printable characters", repr(value[:100]), f"correct {name}"
        )


def _check_given_at(moment: datetime) -> None:
    # At the ends of the calendar a moment of one time zone is none of another.
    try:
        year = moment.astimezone(UTC).year
    except OverflowError:
        year = 0
    if not 1970 <= year < 9999:
        raise BadInputError("given_at from 1970 on, before the year 9999", moment.isoformat(), "correct the clock")


def _check_note(note: str) -> None:
    if len(note) > MAX_NOTE_CHARS:
        raise BadInputError(f"a note of at most {MAX_NOTE_CHARS} characters", f"{len(note)}", "shorten it")
    if not note.replace("\n", "").isprintable():
        raise BadInputError("a note of printable characters and line breaks", repr(note[:100]), "take the others out")


def _check_boxes(boxes: tuple[Box, ...]) -> None:
    if len(boxes) > MAX_BOXES:
        raise BadInputError(f"at most {MAX_BOXES} boxes", f"{len(boxes)}", "draw a mask instead")
    for box in boxes:
        if box.x < 0 or box.y < 0 or box.w < 1 or box.h < 1 or max(box) > _MOST_PX:
            raise BadInputError(
                f"a box as left, top, width, height in pixels of the frame, of at least 1 x 1, none above {_MOST_PX}",
                ",".join(_short(value) for value in box),
                "correct the box",
            )


def _short(value: int) -> str:
    # Python refuses to write out a number of thousands of digits.
    return str(value) if abs(value) <= _MOST_PX else "a huge number" if value > 0 else "a huge negative number"
