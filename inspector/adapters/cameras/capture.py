"""OpenCV's video capture, as little of it as we use; tests put a fake in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from inspector.vision.opencv import cv2

_TIMEOUT_MS = 10_000  # FFmpeg's own default is 30 s, long after an operator has noticed


class Capture(Protocol):
    """The part of ``cv2.VideoCapture`` that is used."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Tell whether the device answers."""
        ...

    def read(self) -> tuple[bool, Any]:
        """Return (True, uint8 BGR [H, W, 3]) or (False, None)."""
        ...

    def get(self, propId: int) -> float:  # noqa: N803 - OpenCV's name
        """Return a property, 0 where unknown."""
        ...

    def release(self) -> None:
        """Let the device go."""
        ...


OpenCapture = Callable[[], Capture]


def open_video(path: str) -> Capture:
    """Open a video file; FFmpeg only, because OpenCV's image-sequence reader would take a "%" for a pattern."""
    return cv2.VideoCapture(path, cv2.CAP_FFMPEG)


def open_rtsp(url: str) -> Capture:
    """Open a network camera, giving up after ten seconds without an answer."""
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS]
    return cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts)


def open_usb(number: int) -> Capture:
    """Open the camera that the system counts as ``number``."""
    return cv2.VideoCapture(number, cv2.CAP_ANY)
