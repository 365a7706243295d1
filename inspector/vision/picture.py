"""A stored picture made small enough to send along."""

from __future__ import annotations

from inspector.vision.decode import DecodeLimits, check, decode_view
from inspector.vision.opencv import cv2

_QUALITY = 85


def small_jpeg(image: bytes, limits: DecodeLimits, longest_px: int = 1024) -> bytes:
    """Return a JPEG or PNG (untrusted) as a JPEG of at most ``longest_px`` a side.

    Raises:
        FrameRejectedError: it is no acceptable image.
    """
    header = check(image, "", limits)
    scale = min(1.0, longest_px / max(header.width_px, header.height_px))
    size = (max(1, round(header.width_px * scale)), max(1, round(header.height_px * scale)))
    pixels = decode_view(image, size)
    done, jpeg = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError(f"OpenCV cannot encode a picture of {size[0]} x {size[1]} px")
    return jpeg.tobytes()
