"""Encoded frame -> pixels the model takes, refusing what no camera sends before it costs memory.

Order of the checks: size in bytes, format, declared type, size in pixels, completeness, and only then the decoder.
Colour is reduced to 8-bit RGB: grey is repeated, alpha dropped, 16 bit keeps its high byte, CMYK is converted.
EXIF orientation is ignored, because coordinates are of the frame as captured.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from inspector.domain.errors import FrameRejectedError
from inspector.domain.outcome import RejectReason
from inspector.vision.image_header import ImageFormat, ImageHeader, MalformedImageError, read_header, sniff
from inspector.vision.opencv import OPENCV_MAX_PIXELS, cv2

# Spellings and "unknown" types in use for the two formats; anything else contradicts the bytes.
_ALIASES = {"image/jpg": ImageFormat.JPEG, "image/pjpeg": ImageFormat.JPEG, "image/x-png": ImageFormat.PNG}
_UNDECLARED = frozenset({"", "application/octet-stream", "image/*"})
# libjpeg decodes at 1/2, 1/4, 1/8 from fewer DCT coefficients. Measured at 1280 x 1024 -> 256 (1/4, one thread):
# 5.8 -> 3.5 ms a frame; pixels differ from the full decode by 1.8 grey levels on average, without a shift in mean.
_COLOUR = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_GREY = {
    1: cv2.IMREAD_GRAYSCALE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
_COEFFICIENT_BYTES = 2
# Frames that decode to more than this wait for each other, however many threads decode.
_LARGE_BYTES = 16_000_000
_ONE_LARGE = threading.RLock()
# What a decoder needs beside its largest buffers, generously.
_SMALL_BUFFERS_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Largest accepted frame: encoded bytes, pixels (width times height), and bytes the decoder needs for them.

    The last lets any JPEG of 50 Mpx pass that a camera writes (they are decoded at a fraction of their size), and a PNG
    of 13 Mpx in colour or 40 Mpx in grey: a small file can say that it is any size.
    """

    max_bytes: int = 16 * 2**20
    max_pixels: int = 50_000_000
    max_decoded_bytes: int = 80_000_000


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """``pixels`` is uint8 [S, S, 3] RGB, squeezed to the model's square; width and height are the frame's own.

    ``fine`` is the same on a larger square, where one was asked for.
    """

    pixels: NDArray[np.uint8] = field(repr=False)
    width_px: int
    height_px: int
    fine: NDArray[np.uint8] | None = field(default=None, repr=False)


@contextmanager
def memory_is_ours() -> Iterator[None]:
    """Raise OpenCV's lack of memory as MemoryError: this process is short of it, and no frame is to blame."""
    try:
        yield
    except cv2.error as error:
        if error.code != cv2.Error.StsNoMem:
            raise
        raise MemoryError(f"too little memory for a frame's pixels: {error.err}") from error


@memory_is_ours()
def decode(
    image: bytes, content_type: str, limits: DecodeLimits, target_px: int, fine_px: int | None = None
) -> DecodedImage:
    """Decode one frame to ``target_px`` x ``target_px`` (uint8 RGB), both sides squeezed independently.

    ``fine_px``: the side of a larger square that is wanted as well; None: of none. It is as fine as the limits let a
    decoder see the frame. ``content_type`` is what the sender declared; empty or ``application/octet-stream`` declares
    nothing. Thread-safe.

    Raises:
        FrameRejectedError: EMPTY, TOO_LARGE, CONTENT_TYPE, TOO_MANY_PIXELS, TRUNCATED or UNDECODABLE.
        MemoryError: this process has too little memory for it; the frame may be good.
    """
    header = check(image, content_type, limits)
    reduction = _reduction(header, (target_px, target_px))
    needed = _decoder_bytes(header, reduction)
    if needed > limits.max_decoded_bytes:
        detail = (
            f"{header.width_px} x {header.height_px} pixels need {needed} bytes to decode, "
            f"at most {limits.max_decoded_bytes} are given"
        )
        raise FrameRejectedError(RejectReason.TOO_MANY_PIXELS, detail)
    # Decoded once more for a larger square, so that the smaller one has the same pixels whether that is wanted or not:
    # by them frames are recognised.
    finer = reduction if fine_px is None else _finer(header, limits, fine_px, reduction)
    with in_turn(needed):
        decoded = _imdecode(image, header, reduction)
        squeezed = _squeezed(decoded, target_px)
        fine = _squeezed(decoded, fine_px) if fine_px is not None and finer == reduction else None
        del decoded
    if fine_px is not None and fine is None:
        with in_turn(_decoder_bytes(header, finer)):
            fine = _squeezed(_imdecode(image, header, finer), fine_px)
    return DecodedImage(squeezed, header.width_px, header.height_px, fine)


def _finer(header: ImageHeader, limits: DecodeLimits, fine_px: int, reduction: int) -> int:
    """Return the reduction to decode a larger square from; ``reduction``, if memory is too scarce for a lesser one."""
    finer = _reduction(header, (fine_px, fine_px))
    return finer if _decoder_bytes(header, finer) <= limits.max_decoded_bytes else reduction


def _squeezed(decoded: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Return RGB [side_px, side_px, 3] of decoded pixels [H, W] or [H, W, 3]."""
    # INTER_AREA averages what falls into one pixel (no aliasing); enlarging with it would repeat pixels instead.
    rows, columns = (min(side, side_px) for side in decoded.shape[:2])
    if (rows, columns) != decoded.shape[:2]:
        decoded = cast(NDArray[np.uint8], cv2.resize(decoded, (columns, rows), interpolation=cv2.INTER_AREA))
    return _to_rgb(cv2.resize(decoded, (side_px, side_px), interpolation=cv2.INTER_LINEAR))


def fits_as_png(width_px: int, height_px: int, limits: DecodeLimits, *, grey: bool = False) -> bool:
    """Tell whether a PNG of this size, in colour or ``grey``, is within the limits of its decoded size."""
    header = ImageHeader(ImageFormat.PNG, width_px, height_px, complete=True, grey=grey)
    return header.pixels <= limits.max_pixels and _decoder_bytes(header, 1) <= limits.max_decoded_bytes


@memory_is_ours()
def decode_full(image: bytes) -> NDArray[np.uint8]:
    """Decode a frame that ``decode`` accepted at its own size: uint8 [H, W, 3] RGB.

    Raises:
        FrameRejectedError: UNDECODABLE.
        MemoryError: as ``decode``.
    """
    return _to_rgb(_imdecode(image, _trusted_header(image), 1))


@memory_is_ours()
def decode_square(image: bytes, side_px: int) -> NDArray[np.uint8]:
    """Decode a frame that ``decode`` accepted as it would, to uint8 [side_px, side_px, 3] RGB.

    Raises:
        FrameRejectedError: UNDECODABLE.
        MemoryError: as ``decode``.
    """
    header = _trusted_header(image)
    reduction = _reduction(header, (side_px, side_px))
    with in_turn(_decoder_bytes(header, reduction)):
        return _squeezed(_imdecode(image, header, reduction), side_px)


@memory_is_ours()
def decode_view(image: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode a frame that ``decode`` accepted, at most ``size`` (width, height) large: uint8 [h, w, 3] RGB.

    Raises:
        FrameRejectedError: UNDECODABLE.
        MemoryError: as ``decode``.
    """
    header = _trusted_header(image)
    reduction = _reduction(header, size)
    with in_turn(_decoder_bytes(header, reduction)):
        decoded = _imdecode(image, header, reduction)
        if decoded.shape[1] > size[0] or decoded.shape[0] > size[1]:
            decoded = cast(NDArray[np.uint8], cv2.resize(decoded, size, interpolation=cv2.INTER_AREA))
    return _to_rgb(decoded)


@contextmanager
def in_turn(needed_bytes: int) -> Iterator[None]:
    """Let one large picture at a time be in memory; small ones do not wait."""
    if needed_bytes <= _LARGE_BYTES:
        yield
    else:
        with _ONE_LARGE:
            yield


def check(image: bytes, content_type: str, limits: DecodeLimits) -> ImageHeader:
    """Refuse a frame by what its bytes say of themselves, decoding nothing. Raises as ``decode``."""
    if not image:
        raise FrameRejectedError(RejectReason.EMPTY, "the frame has 0 bytes")
    if len(image) > limits.max_bytes:
        raise FrameRejectedError(RejectReason.TOO_LARGE, f"{len(image)} bytes, at most {limits.max_bytes} are taken")
    image_format = _agreed_format(image, content_type)
    try:
        header = read_header(image, image_format)
    except MalformedImageError as error:
        raise FrameRejectedError(RejectReason.UNDECODABLE, str(error)) from error
    if header.pixels > limits.max_pixels:
        detail = f"{header.width_px} x {header.height_px} pixels, at most {limits.max_pixels} are taken"
        raise FrameRejectedError(RejectReason.TOO_MANY_PIXELS, detail)
    if not header.complete:
        detail = f"{image_format} ends after {len(image)} bytes without its end marker"
        raise FrameRejectedError(RejectReason.TRUNCATED, detail)
    return header


def _agreed_format(image: bytes, content_type: str) -> ImageFormat:
    found = sniff(image)
    media_type = content_type.partition(";")[0].strip().lower()
    declared = _ALIASES.get(media_type, media_type)
    if declared not in _UNDECLARED and declared not in set(ImageFormat):
        detail = f"{content_type[:80]!r} is declared, only image/jpeg and image/png are taken"
        raise FrameRejectedError(RejectReason.CONTENT_TYPE, detail)
    if found is None:
        detail = f"neither JPEG nor PNG: the bytes start with {image[:8].hex(' ')}"
        raise FrameRejectedError(RejectReason.UNDECODABLE, detail)
    if declared not in _UNDECLARED and declared != found:
        raise FrameRejectedError(RejectReason.CONTENT_TYPE, f"{declared} is declared, the bytes are {found}")
    return found


def _trusted_header(image: bytes) -> ImageHeader:
    return check(image, "", DecodeLimits(len(image), OPENCV_MAX_PIXELS))


def _reduction(header: ImageHeader, size: tuple[int, int]) -> int:
    """Largest of 1, 2, 4, 8 that keeps both decoded sides at or above ``size`` (libjpeg rounds up); 1 for PNG."""
    if header.format is not ImageFormat.JPEG:
        return 1
    return max(r for r in _COLOUR if r == 1 or (header.width_px >= r * size[0] and header.height_px >= r * size[1]))


def _decoder_bytes(header: ImageHeader, reduction: int) -> int:
    """Return the memory that OpenCV needs to decode a frame, as measured: its largest buffers, without the small."""
    channels = 1 if header.grey else 3
    if header.format is ImageFormat.PNG:  # decoded whole, then copied
        return 2 * header.pixels * channels
    rows, columns = -(-header.height_px // reduction), -(-header.width_px // reduction)
    return rows * columns * channels + round(header.pixels * header.held_samples * _COEFFICIENT_BYTES)


def _imdecode(image: bytes, header: ImageHeader, reduction: int) -> NDArray[np.uint8]:
    flags = (_GREY if header.grey else _COLOUR)[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(image, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        raise FrameRejectedError(RejectReason.UNDECODABLE, f"the decoder refused it: {error.err}") from error
    if pixels is None:
        # libjpeg and libpng give up without a reason, for lack of memory too. Asked for, not touched: it costs nothing.
        np.empty(_decoder_bytes(header, reduction) + _SMALL_BUFFERS_BYTES, np.uint8)
        raise FrameRejectedError(RejectReason.UNDECODABLE, "the decoder refused it")
    return cast(NDArray[np.uint8], pixels)


def _to_rgb(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return RGB of BGR [H, W, 3] or grey [H, W]."""
    code = cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB
    return cast(NDArray[np.uint8], cv2.cvtColor(pixels, code))
