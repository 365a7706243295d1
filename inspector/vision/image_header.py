"""Format, size and completeness of an encoded image, read from its bytes without decoding a pixel.

Sizes are needed before the decoder allocates for them, and completeness because OpenCV fills what a cut JPEG lacks
with grey and reports success (damage inside a PNG it does notice: chunks carry checksums). Formats: JPEG (ITU-T T.81,
annex B) and PNG (W3C PNG, third edition, section 5).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
_EOI, _SOS = 0xD9, 0xDA
# Start-of-frame markers carry the size; C4, C8 and CC in the same range are tables and extensions.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
# Cameras write tens of segments and thousands of chunks; each one more costs time and says nothing.
_MAX_SEGMENTS = 2_000
_MAX_CHUNKS = 65_536
_FILL = re.compile(rb"\xff+")
# PNG colour types: grey, RGB, palette, grey and alpha, RGB and alpha.
_PNG_GREY = frozenset({0, 4})
# In entropy-coded data FF is followed by 00 (stuffing), D0..D7 (restart) or FF (fill); anything else is a marker.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


class ImageFormat(StrEnum):
    """Formats a camera sends; the value is the media type."""

    JPEG = "image/jpeg"
    PNG = "image/png"


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the bytes say of themselves; ``complete`` is false where the end of the image is missing.

    ``held_samples`` is the number of samples a pixel for which a JPEG decoder has to hold coefficients of the whole
    image (progressive, or colours one after the other), 0 where it goes row by row.
    """

    format: ImageFormat
    width_px: int
    height_px: int
    complete: bool
    grey: bool = False
    held_samples: float = 0.0

    @property
    def pixels(self) -> int:
        """Pixels the decoder would have to hold."""
        return self.width_px * self.height_px


class MalformedImageError(Exception):
    """The bytes start like a JPEG or PNG and then break its rules."""


def sniff(image: bytes) -> ImageFormat | None:
    """Return the format by its magic bytes, None for anything that is neither JPEG nor PNG."""
    if image.startswith(_PNG_MAGIC):
        return ImageFormat.PNG
    if image.startswith(_JPEG_MAGIC):
        return ImageFormat.JPEG
    return None


def read_header(image: bytes, image_format: ImageFormat) -> ImageHeader:
    """Read size and completeness of ``image``, whose magic is that of ``image_format``.

    A size of 0 x 0 with ``complete`` false means that the image is cut off before its size.

    Raises:
        MalformedImageError: a segment or chunk is broken, though not by the end of the data.
    """
    return _read_png(image) if image_format is ImageFormat.PNG else _read_jpeg(image)


def _read_png(image: bytes) -> ImageHeader:
    width = height = colour_type = 0
    complete = False
    position = len(_PNG_MAGIC)
    for _ in range(_MAX_CHUNKS):
        if complete or position + 12 > len(image):
            break
        length, kind = struct.unpack_from(">I4s", image, position)
        end = position + 12 + length
        if end > len(image):
            break
        if kind == b"IHDR" and length == 13:
            width, height, _, colour_type = struct.unpack_from(">IIBB", image, position + 8)
        elif not width:
            raise MalformedImageError("PNG does not begin with its IHDR chunk")
        elif kind == b"acTL":  # decoders hold several pictures for it
            raise MalformedImageError("PNG is an animation")
        complete = kind == b"IEND"
        position = end
    else:
        raise MalformedImageError(f"PNG has more than {_MAX_CHUNKS} chunks")
    return ImageHeader(ImageFormat.PNG, width, height, complete, colour_type in _PNG_GREY)


@dataclass(frozen=True, slots=True)
class _FrameHeader:
    """What a JPEG's start-of-frame segment says; ``samples`` are those of all components for one pixel."""

    width_px: int = 0
    height_px: int = 0
    components: int = 0
    samples: float = 0.0
    progressive: bool = False


def _read_jpeg(image: bytes) -> ImageHeader:
    frame, held_samples, complete = _FrameHeader(), 0.0, False
    for marker, segment in _segments(image):
        complete = marker == _EOI
        if marker in _SOF and len(segment) >= 6:
            frame = _larger(frame, _read_frame_header(marker, segment))
        elif marker == _SOS:
            if not frame.width_px:
                raise MalformedImageError("JPEG scan without a frame header before it")
            if frame.progressive or (segment and segment[0] < frame.components):
                held_samples = frame.samples
    size = (frame.width_px, frame.height_px)
    return ImageHeader(ImageFormat.JPEG, *size, complete, frame.components == 1, held_samples)


def _segments(image: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content (without its length) of each segment, skipping scans' data; ends at EOI or the cut."""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        if position >= len(image):
            return
        fill = _FILL.match(image, position)  # any number of FF may stand before a marker
        if fill is None:
            raise MalformedImageError(f"JPEG marker expected at byte {position}")
        start = fill.end()
        marker = image[start] if start < len(image) else None
        if marker is None or (marker != _EOI and start + 3 > len(image)):
            return
        if marker == _EOI:
            yield _EOI, b""
            return
        length = int.from_bytes(image[start + 1 : start + 3], "big")
        if length < 2:
            raise MalformedImageError(f"JPEG segment at byte {start - 1} has length {length}")
        position = start + 1 + length
        yield marker, image[start + 3 : position]
        if marker == _SOS:
            found = _NEXT_MARKER.search(image, position)
            if found is None:
                return
            position = found.start()
    raise MalformedImageError(f"JPEG has more than {_MAX_SEGMENTS} segments")


def _read_frame_header(marker: int, segment: bytes) -> _FrameHeader:
    height, width, components = struct.unpack_from(">HHB", segment, 1)
    factors = [(byte >> 4, byte & 15) for byte in segment[7::3][:components]]
    one_pixel = max((h for h, _ in factors), default=1) * max((v for _, v in factors), default=1)
    samples = sum(h * v for h, v in factors) / one_pixel if one_pixel else float(components)
    return _FrameHeader(width, height, components, samples, marker in _PROGRESSIVE)


def _larger(one: _FrameHeader, other: _FrameHeader) -> _FrameHeader:
    """Return the worst of two frame headers: a second is against the rules, and the decoder has yet to refuse it."""
    return _FrameHeader(
        max(one.width_px, other.width_px),
        max(one.height_px, other.height_px),
        max(one.components, other.components),
        max(one.samples, other.samples),
        one.progressive or other.progressive,
    )
