"""Whether what a person says of a frame can be taken, and as what: one judgement for the command line and for HTTP."""

from __future__ import annotations

import difflib
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from inspector.domain.defect import Box
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import MAX_NOTE_CHARS, Feedback, FeedbackVerdict
from inspector.domain.product import ProductSettings
from inspector.domain.result import InspectionResult, PredLabel

# What the clock of who gives feedback may be ahead by.
CLOCK_SKEW = timedelta(minutes=1)
_MAX_WORD_CHARS = 200  # before it is looked at: what is longer is refused by the record, without work


class UnknownFrameError(BadInputError):
    """No result is kept of the frame that feedback is about."""


@dataclass(frozen=True, slots=True)
class FeedbackRequest:
    """What a person said, as it came. ``mask`` is a PNG; ``given_at`` None: now.

    ``defect_type`` is the right type of a wrong verdict; None: there is no defect. Boxes are in pixels of the frame.
    """

    frame_id: str
    verdict: FeedbackVerdict
    person: str
    defect_type: str | None = None
    boxes: tuple[Box, ...] = ()
    mask: bytes | None = field(default=None, repr=False)
    note: str = ""
    given_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TakenFeedback:
    """The record, and what whoever gave it should know of it."""

    feedback: Feedback
    remarks: tuple[str, ...] = ()


def judge(
    request: FeedbackRequest,
    result: InspectionResult,
    product: ProductSettings,
    mask_version: str | None,
    now: datetime,
) -> TakenFeedback:
    """Make a record of a request about the frame of ``result``, whose product is ``product``.

    ``mask_version`` is that of the request's mask, which fits the frame; ``now`` is the clock that all share.

    Raises:
        BadInputError: a box outside the frame, a name or note that cannot be taken, a clock in the future, or feedback
            that contradicts itself.
    """
    _check_clock(request.given_at, now)
    for box in request.boxes:
        _check_inside(box, result)
    gravest = max(result.defects, key=lambda defect: defect.severity, default=None)
    pred_type = gravest.defect_type if gravest and result.pred_label is PredLabel.ANOMALOUS else None
    defect_type = None if request.defect_type is None else _known_word(request.defect_type, product)
    is_new = defect_type is not None and defect_type not in product.vocabulary.defect_types
    feedback = Feedback(
        frame_id=result.frame_id,
        camera_id=result.camera_id,
        weights_version=result.weights_version,
        verdict=request.verdict,
        person=_normalised(request.person),
        given_at=(request.given_at or now).astimezone(UTC),
        pred_label=result.pred_label,
        defect_type=defect_type,
        boxes=request.boxes,
        mask_version=mask_version,
        note=_note(request.note),
        product=result.product,
        pred_type=pred_type,
        new_type=is_new,
    )
    _check_something_is_wrong(feedback)
    return TakenFeedback(feedback, _remarks(feedback, product))


def new_type_offer(feedback: Feedback) -> str:
    """Return what to do about a type that is not in the vocabulary."""
    return (
        f"{feedback.defect_type!r} is not in the vocabulary of product {feedback.product}: recorded as a new type; "
        f"add it to products.{feedback.product}.defects, then `inspector config push`"
    )


def _remarks(feedback: Feedback, product: ProductSettings) -> tuple[str, ...]:
    if not feedback.new_type or feedback.defect_type is None:
        return ()
    close = difflib.get_close_matches(feedback.defect_type, product.vocabulary.defect_types, 1, 0.8)
    meant = (f"if you meant {close[0]!r}, give the feedback again with that: the later word counts",) if close else ()
    return (new_type_offer(feedback), *meant)


def _check_clock(given_at: datetime | None, now: datetime) -> None:
    if given_at is None:
        return
    if given_at.utcoffset() is None:
        raise BadInputError("given_at with a time zone", str(given_at), "write it in UTC, ending in Z")
    if given_at > now + CLOCK_SKEW:
        raise BadInputError(
            f"given_at not later than {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}, the time here",
            given_at.isoformat(),
            "correct the clock that wrote it, or leave given_at out",
        )


def _check_inside(box: Box, result: InspectionResult) -> None:
    if box.x < 0 or box.y < 0 or box.x + box.w > result.width_px or box.y + box.h > result.height_px:
        raise BadInputError(
            f"boxes (left, top, width, height) within the frame of {result.width_px} x {result.height_px} pixels",
            ",".join(map(str, box))[:100],
            "give pixels of the frame as captured, not of a scaled picture",
        )


def _check_something_is_wrong(feedback: Feedback) -> None:
    placed = feedback.boxes or feedback.mask_version
    same = feedback.pred_type is not None and feedback.defect_type == feedback.pred_type
    if feedback.verdict is FeedbackVerdict.WRONG and same and not placed:
        raise BadInputError(
            "another type than the one found, or a box or mask that says where it really is",
            repr(feedback.defect_type),
            "name the right type or place; if both were right, say right",
        )


def _known_word(text: str, product: ProductSettings) -> str:
    """Return the vocabulary's own spelling of a type, if it has it in any case of letters; else the type as it came."""
    word = _normalised(text)
    spelled = {name.casefold(): name for name in product.vocabulary.defect_types}
    return spelled.get(word.casefold(), word)


def _normalised(text: str) -> str:
    # Two ways to write the same letters are the same name; control characters stay, for the record to refuse.
    return unicodedata.normalize("NFC", text).strip(" ") if len(text) <= _MAX_WORD_CHARS else text


def _note(text: str) -> str:
    # 100 kB are not worth a look.
    if len(text) > 2 * MAX_NOTE_CHARS:
        return text
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")).strip()
