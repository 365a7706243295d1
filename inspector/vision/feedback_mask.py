"""A mask that a person drew, of whatever paint program, as one kind of PNG that the trainer reads."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.vision.decode import DecodeLimits, check, fits_as_png, in_turn, memory_is_ours
from inspector.vision.opencv import cv2

_BYTES_A_PIXEL = 12  # colour and alpha of 16 bits while it is decoded, and what is made of it


def plain_mask(png: bytes, width_px: int, height_px: int, limits: DecodeLimits) -> bytes:
    """Return ``png``, drawn on a frame of this size, as a PNG of one 8-bit channel: 255 where it is drawn, else 0.

    Drawn is what is not black, or, where the picture is transparent anywhere, what is not wholly transparent. Equal
    masks give equal bytes.

    Raises:
        BadInputError: no PNG, damaged, too large, of another size than the frame, or with nothing or everything drawn.
        MemoryError: this process has too little memory for it.
    """
    try:
        header = check(png, "image/png", limits)
    except FrameRejectedError as error:
        raise _no_mask(error.detail) from error
    if (header.width_px, header.height_px) != (width_px, height_px):
        raise BadInputError(
            f"a mask of the frame's own size, {width_px} x {height_px} pixels",
            f"{header.width_px} x {header.height_px}",
            "draw it on the frame as captured, not on a scaled picture",
        )
    if not fits_as_png(width_px, height_px, limits, grey=header.grey):
        raise BadInputError(
            f"a mask that decodes within {limits.max_decoded_bytes} bytes",
            f"{width_px} x {height_px} pixels {'in grey' if header.grey else 'in colour'}",
            "give boxes" if header.grey else "save it as a grey PNG, or give boxes",
        )
    with in_turn(header.pixels * _BYTES_A_PIXEL):
        drawn = _drawn(png)
    if not drawn.any() or drawn.all():
        raise BadInputError(
            "a mask with the defect drawn and the rest black or transparent",
            "one with everything drawn" if drawn.any() else "one with nothing drawn",
            "draw the defect alone, or leave the mask out",
        )
    return _encoded(drawn)


@memory_is_ours()
def _drawn(png: bytes) -> NDArray[np.bool_]:
    """Return which pixels are drawn, [H, W]."""
    try:
        pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        raise _no_mask(f"the decoder refused it: {error.err}") from error
    if pixels is None:
        raise _no_mask("the decoder refused it")
    if pixels.ndim == 2:
        return pixels > 0
    alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
    opaque = 65_535 if pixels.dtype == np.uint16 else 255
    if alpha is not None and (alpha < opaque).any():
        return alpha > 0
    return cast(NDArray[np.bool_], (pixels[..., :3] > 0).any(axis=2))


@memory_is_ours()
def _encoded(drawn: NDArray[np.bool_]) -> bytes:
    written, png = cv2.imencode(".png", drawn.astype(np.uint8) * np.uint8(255))
    if not written:
        raise MemoryError("too little memory to encode a mask")
    return png.tobytes()


def _no_mask(why: str) -> BadInputError:
    return BadInputError("a mask as a whole PNG", why, "save it as PNG in the frame's own size")
