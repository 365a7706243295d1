"""``inspector feedback``: what a person says of a frame, and what was said."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from inspector.adapters.kafka.feedback_log import read_book
from inspector.apps import console, wiring
from inspector.apps.feedback_desk import FeedbackDesk
from inspector.domain.defect import Box
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.records import from_json, to_json
from inspector.domain.result import InspectionResult, PredLabel
from inspector.domain.sample import RESULT_PART
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.feedback_rules import FeedbackRequest
from inspector.settings import Settings


@dataclass(frozen=True, slots=True)
class Request:
    """Feedback as it was typed. Boxes are ``x,y,w,h``; ``person`` None: whoever runs the command."""

    frame_id: str
    verdict: FeedbackVerdict
    defect_type: str | None = None
    boxes: tuple[str, ...] = ()
    mask: Path | None = None
    note: str = ""
    person: str | None = field(default=None)
    as_json: bool = False


def give(settings: Settings, request: Request) -> None:
    """Give feedback on a frame and print what was recorded.

    Raises:
        BadInputError: it cannot be taken; see ``FeedbackDesk.take``.
        InspectorError: Kafka or Redis cannot be used.
    """
    asked = FeedbackRequest(
        frame_id=request.frame_id,
        verdict=request.verdict,
        person=_login_name() if request.person is None else request.person,
        defect_type=request.defect_type,
        boxes=tuple(parse_box(text) for text in request.boxes),
        mask=None if request.mask is None else _read(request.mask, settings.limits.max_frame_bytes),
        note=request.note,
    )
    with closing(FeedbackDesk(settings, partial(kept_result, settings))) as desk:
        taken = desk.take(asked)
    for sentence in taken.remarks:
        console.remark(sentence, "yellow")
    if request.as_json:
        said = {"feedback_id": taken.feedback.feedback_id, "feedback": json.loads(to_json(taken.feedback))}
        console.print_json({**said, "remarks": list(taken.remarks)})
        return
    console.lines(
        [f"recorded: frame {taken.feedback.frame_id} of {taken.feedback.camera_id}: {_words(taken.feedback)}"]
    )


def listed(settings: Settings, camera_id: str | None, as_json: bool) -> None:
    """Print the latest words of each person, of one camera or all, oldest first. Raises as ``read_feedback``."""
    book = _book(settings)
    said = sorted((one for told in book.by_person().values() for one in told), key=lambda one: one.given_at)
    found = [one for one in said if camera_id in (None, one.camera_id)]
    if as_json:
        console.print_records(found)
    elif found:
        _print_table(found)
    else:
        console.remark("no feedback yet" if camera_id is None else f"no feedback on frames of camera {camera_id} yet")


def conflicts(settings: Settings, as_json: bool) -> None:
    """Print the frames on which people disagree, with the latest word of each. Raises as ``read_feedback``."""
    found = _book(settings).conflicts()
    if as_json:
        console.print_json(
            [
                {"frame_id": frame_id, "feedback": [json.loads(to_json(one)) for one in said]}
                for frame_id, said in found.items()
            ]
        )
    elif found:
        _print_table([one for said in found.values() for one in said])
        console.remark(f"{len(found)} frames on which people disagree; none is used until they agree")
    else:
        console.remark("nobody disagrees")


def parse_box(text: str) -> Box:
    """Return a box of ``x,y,w,h``.

    Raises:
        BadInputError: it is none.
    """
    parts = text.split(",")
    try:
        x, y, w, h = (int(part) for part in parts)
    except ValueError as error:
        raise BadInputError(
            "a box as LEFT,TOP,WIDTH,HEIGHT in whole pixels of the frame", repr(text[:100]), "as in --box 120,80,40,16"
        ) from error
    return Box(x, y, w, h)


def kept_result(settings: Settings, frame_id: str) -> InspectionResult | None:
    """Return the result of a frame that is kept for training, where there is such a place: the gate asks about those.

    Raises:
        ServiceUnavailableError: the place is away.
        CredentialsError: it refuses us.
    """
    if not settings.samples.in_s3 and not Path(settings.samples.place).is_dir():
        return None
    store = wiring.sample_store(settings)
    sample = next((each for each in store.samples() if each.frame_id == frame_id), None)
    try:
        found = None if sample is None else store.part(sample, RESULT_PART)
        return None if found is None else from_json(InspectionResult, found)
    except BadInputError:  # damaged
        return None


def _book(settings: Settings) -> FeedbackBook:
    return read_book(wiring.kafka_connection(settings), settings.kafka.feedback_topic)


def _login_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError as error:  # a container's user without a name
        raise BadInputError("a person's name", f"none for user {os.getuid()}", "give --person NAME") from error


def _read(file: Path, max_bytes: int) -> bytes:
    with file.open("rb") as opened:
        data = opened.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise BadInputError(f"a mask of at most {max_bytes} bytes", f"{file}, which is larger", "save it as grey PNG")
    return data


def _words(feedback: Feedback) -> str:
    had_said = feedback.pred_label.value + (f" ({feedback.pred_type})" if feedback.pred_type else "")
    if feedback.verdict is FeedbackVerdict.RIGHT:
        return f"{had_said} is right, says {feedback.person}"
    truth = feedback.true_type if feedback.true_label is PredLabel.ANOMALOUS else "no defect, a false alarm"
    return f"not {had_said} but {truth}, says {feedback.person}"


def _print_table(said: Iterable[Feedback]) -> None:
    made = console.table("given", "camera", "frame", "said", "in truth", "person", "weights", "where", "note")
    for one in said:
        truth = one.true_label.value if one.true_type is None else one.true_type
        made.add_row(
            console.local_time(one.given_at),
            console.cell(one.camera_id),
            console.cell(one.frame_id, "dim"),
            console.cell(one.pred_type or one.pred_label),
            console.cell(f"{truth} (new)" if one.new_type else truth, "green" if one.verdict == "right" else "yellow"),
            console.cell(one.person),
            console.cell(one.weights_version[:12]),
            "mask" if one.mask_version else f"{len(one.boxes)} boxes" if one.boxes else "-",
            console.cell(" ".join(one.note.split())),
        )
    console.print_table(made)
