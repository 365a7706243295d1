"""A live camera, network or USB: when it goes away it is asked again and again, ever more patiently."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from inspector.adapters.cameras.capture import OpenCapture
from inspector.adapters.cameras.image import JPEG, CapturedImage, Clock, Report, encode_jpeg

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0

Wait = Callable[[float], object]


class LiveSource:
    """Frames of a live camera as JPEG, without end.

    Loss and return are reported, once per attempt; between two attempts it waits 1, 2, 4 ... 30 s, and 1 s again after
    the camera has given a frame.
    """

    def __init__(
        self, name: str, open_capture: OpenCapture, clock: Clock, report: Report, wait: Wait | None = None
    ) -> None:
        """``name`` goes into reports and must hold no password (``redacted``); ``wait`` replaces the real one."""
        self._name, self._open, self._clock, self._report = name, open_capture, clock, report
        self._closed = threading.Event()
        # Waiting on the event, so that close() need not sit out half a minute.
        self._wait: Wait = wait or self._closed.wait

    def __iter__(self) -> Iterator[CapturedImage]:
        """Yield frames until closed."""
        wait_s, number, away = _FIRST_WAIT_S, 0, False
        while not self._closed.is_set():
            for image in self._session(number):
                if away:
                    self._report(f"camera {self._name} is back")
                wait_s, away = _FIRST_WAIT_S, False
                number += 1
                yield image
            if self._closed.is_set():
                return
            self._report(f"camera {self._name} gives no frames; next attempt in {wait_s:g} s")
            away = True
            self._wait(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def close(self) -> None:
        """End a running iteration, also one that waits."""
        self._closed.set()

    def _session(self, number: int) -> Iterator[CapturedImage]:
        capture = self._open()
        try:
            while not self._closed.is_set() and capture.isOpened():
                done, pixels = capture.read()
                if not done:
                    return
                try:
                    image = encode_jpeg(pixels)
                except ValueError as error:  # a broken frame: the camera is opened anew, as after a loss
                    self._report(f"camera {self._name}: {error}")
                    return
                yield CapturedImage(image, JPEG, self._clock(), f"{self._name}#{number}")
                number += 1
        finally:
            capture.release()


def redacted(url: str) -> str:
    """Return ``url`` without user, password and query, fit for logs and errors.

    All up to the last "@" goes, because passwords with "/" or "@" in them are typed in as they are.
    """
    scheme, separator, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    shown = place.split("?")[0].split("#")[0]
    return f"{scheme}{separator}{'***@' if user or at else ''}{shown}"
