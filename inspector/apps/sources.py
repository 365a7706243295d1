"""SOURCE, as commands take it: a folder, a video file, ``rtsp://...``, ``usb:N`` or ``sim:NAME?seed=7&rate=0.1``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import uuid_utils

from inspector.adapters.cameras.capture import open_rtsp, open_usb
from inspector.adapters.cameras.folder import FolderSource
from inspector.adapters.cameras.image import JPEG, CapturedImage, Clock, ImageSource, Report, utc_now
from inspector.adapters.cameras.live import LiveSource, redacted
from inspector.adapters.cameras.video import VideoSource
from inspector.domain.errors import BadInputError
from inspector.simulator.line import VirtualLine, line
from inspector.simulator.truth import TruthWriter
from inspector.vision.image_file import printable

_log = logging.getLogger(__name__)
_KINDS = "a folder, a video file, rtsp://HOST/..., usb:NUMBER or sim:NAME"


def open_source(
    text: str,
    *,
    loop: bool = False,
    limit: int | None = None,
    truth: TruthWriter | None = None,
    clock: Clock = utc_now,
    report: Report = _log.warning,
) -> ImageSource:
    """Open what ``text`` names.

    Args:
        text: the SOURCE a person typed.
        loop: start a folder or a video again when it ends; the others have no end.
        limit: end after this many images.
        truth: where a virtual line writes what is wrong with its frames; other sources know nothing of it.
        clock: the time images are stamped with.
        report: takes what a person should know while it runs, such as a camera that went away.

    Raises:
        BadInputError: ``text`` is none of the kinds, or what it names is not there.
    """
    if limit is not None and limit < 0:
        raise BadInputError("a limit of 0 or more", str(limit), "leave it out to take every image")
    return _Played(_open(text, truth, clock, report), loop, limit)


def _open(text: str, truth: TruthWriter | None, clock: Clock, report: Report) -> ImageSource:
    if text.startswith("sim:"):
        virtual, start, step = parse_sim(text)
        return _SimulatedSource(virtual, start, step, truth, clock)
    if text.startswith(("rtsp://", "rtsps://")):
        return LiveSource(redacted(text), lambda: open_rtsp(text), clock, report)
    if text.startswith("usb:"):
        number = _usb_number(text)
        return LiveSource(text, lambda: open_usb(number), clock, report)
    if "://" in text:
        raise BadInputError(_KINDS, redacted(text), "use one of these; other protocols are not read")
    path = Path(text)
    try:
        folder, file = path.is_dir(), path.is_file()
    except (OSError, ValueError):  # a name too long for the system, or with a null byte in it
        folder = file = False
    if folder:
        return FolderSource(path, clock, report)
    if file:
        return VideoSource(path, clock)
    shown = printable(path)[:200]
    raise BadInputError(_KINDS, f"{shown!r}, which does not exist", "check the path")


def parse_sim(text: str) -> tuple[VirtualLine, int, int]:
    """Return the line, the first frame and the step that ``sim:NAME?seed=7&rate=0.1&normal=1&start=100&step=9`` names.

    ``normal=1`` makes good parts only (for enrolment); ``start`` is the index of the first frame, and every ``step``-th
    is taken from there on: frames spread over a shift show more of its light and movement than as many in a row.

    Raises:
        BadInputError: unknown line or parameter, or a value that does not fit.
    """
    name, _, query = text.removeprefix("sim:").partition("?")
    values = {"seed": "0", "rate": "0.1", "normal": "0", "start": "0", "step": "1"}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in values:
            raise BadInputError(f"sim parameters {', '.join(values)}", repr(key), "as in sim:plate?seed=7&rate=0.1")
        values[key] = value
    seed, start, step = (_whole(key, values[key]) for key in ("seed", "start", "step"))
    if values["normal"] not in ("0", "1"):
        raise BadInputError("sim parameter normal to be 0 or 1", repr(values["normal"]), "as in sim:plate?normal=1")
    rate = 0.0 if values["normal"] == "1" else _share(values["rate"])
    return line(name, seed, rate), start, max(1, step)


def _whole(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadInputError(f"sim parameter {key} to be a whole number", repr(text), f"as in sim:plate?{key}=7")
    return int(text)


def _share(text: str) -> float:
    try:
        return float(text)  # its range is the line's to check
    except ValueError as error:
        raise BadInputError("sim parameter rate to be within 0..1", repr(text), "as in sim:plate?rate=0.1") from error


def _usb_number(text: str) -> int:
    number = text.removeprefix("usb:")
    if not (number.isascii() and number.isdigit() and len(number) <= 4):
        raise BadInputError("usb:NUMBER", repr(text), "give the camera's number, as in usb:0")
    return int(number)


@dataclass(frozen=True, slots=True)
class _SimulatedSource:
    """A virtual line whose pictures are taken now; with a truth writer, the truth is written before the frame goes."""

    line: VirtualLine
    start: int
    step: int
    truth: TruthWriter | None
    clock: Clock

    def __iter__(self) -> Iterator[CapturedImage]:
        for frame in self.line.frames(self.start, self.step):
            frame_id = None
            if self.truth is not None:
                frame_id = str(uuid_utils.uuid7())
                self.truth.write(frame_id, frame)
            name = f"{self.line.product.name}#{frame.index}"
            yield CapturedImage(frame.jpeg, JPEG, self.clock(), name, frame.part_id, frame.lot, frame.view, frame_id)

    def close(self) -> None:
        """Close nothing: the truth belongs to whoever opened it."""


class _Played:
    """A source played ``limit`` images long, from the beginning again where it ends and ``loop`` is set."""

    def __init__(self, source: ImageSource, loop: bool, limit: int | None) -> None:
        self._source, self._loop, self._limit = source, loop, limit
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[CapturedImage]:
        left = self._limit
        while left != 0 and not self._closed.is_set():
            nothing = True
            for image in self._source:
                nothing = False
                yield image
                left = None if left is None else left - 1
                if left == 0 or self._closed.is_set():
                    return
            # A folder whose files have all gone would otherwise be read in circles at full speed.
            if nothing or not self._loop:
                return

    def close(self) -> None:
        """Close the source and end a running iteration."""
        self._closed.set()
        self._source.close()
