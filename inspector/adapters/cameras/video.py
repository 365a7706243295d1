"""A video file as a camera."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from inspector.adapters.cameras.capture import open_video
from inspector.adapters.cameras.image import JPEG, CapturedImage, Clock, encode_jpeg
from inspector.domain.errors import BadInputError
from inspector.vision.image_file import printable
from inspector.vision.opencv import cv2


class VideoSource:
    """The frames of a video file as JPEG.

    ``captured_at`` is the time at which the iteration began plus the frame's position in the video.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        """Look whether the file is a video.

        Raises:
            BadInputError: no frame can be read from it.
        """
        self._path, self._clock = path, clock
        self._closed = threading.Event()
        capture = open_video(str(path))
        try:
            readable = capture.isOpened() and capture.read()[0]
        finally:
            capture.release()
        if not readable:
            raise BadInputError(
                "a video file (MP4, AVI, MKV...)",
                f"no readable frame in {printable(path)}",
                "check that it plays, or give a folder of images",
            )

    def __iter__(self) -> Iterator[CapturedImage]:
        """Yield the frames from the beginning."""
        started_at = self._clock()
        capture = open_video(str(self._path))
        try:
            number = 0
            while not self._closed.is_set():
                done, pixels = capture.read()
                if not done:
                    return
                position = timedelta(milliseconds=max(0.0, capture.get(cv2.CAP_PROP_POS_MSEC)))
                name = f"{printable(Path(self._path.name))}#{number}"
                yield CapturedImage(encode_jpeg(pixels), JPEG, started_at + position, name)
                number += 1
        finally:
            capture.release()

    def close(self) -> None:
        """End a running iteration."""
        self._closed.set()
