"""What every source of images hands over, whatever it is: encoded images, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inspector.vision.opencv import cv2

Clock = Callable[[], datetime]
Report = Callable[[str], None]  # takes one line for a person; never holds a password

JPEG = "image/jpeg"
_JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class CapturedImage:
    """One encoded image on its way to the log. ``captured_at`` is timezone-aware UTC.

    ``name`` says where it came from in printable text. ``frame_id`` is set where the source had to fix it beforehand
    (the virtual line writes its truth under it); otherwise the producer makes one.
    """

    image: bytes = field(repr=False)
    content_type: str
    captured_at: datetime
    name: str
    part_id: str | None = None
    lot: str | None = None
    view: str | None = None
    frame_id: str | None = None


class ImageSource(Protocol):
    """Images of one camera, in order. Iterating again starts anew where the source can be replayed."""

    def __iter__(self) -> Iterator[CapturedImage]:
        """Yield images until the source ends or is closed."""
        ...

    def close(self) -> None:
        """Let go of the device; ends a running iteration, also from another thread; never raises."""
        ...


def utc_now() -> datetime:
    """Return the time, timezone-aware."""
    return datetime.now(UTC)


def encode_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Encode uint8 BGR [H, W, 3] or grey [H, W].

    Raises:
        ValueError: OpenCV cannot encode these pixels.
    """
    try:
        done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    except cv2.error as error:
        raise ValueError(f"OpenCV cannot encode the pixels as JPEG: {error.err}") from error
    if not done:
        raise ValueError(f"OpenCV cannot encode pixels of shape {pixels.shape} as JPEG")
    return data.tobytes()
