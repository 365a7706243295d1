"""Format, size and completeness of an encoded image, read from its bytes without decoding a pixel.

Sizes are needed before the decoder allocates for them, and completeness because OpenCV fills what a cut JPEG lacks
with grey and reports success (damage inside a PNG it does notice: chunks carry checksums). Formats: JPEG (ITU-T T.81,
annex B) and PNG (W3C PNG, third edition, section 5).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import StrEnum

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
_EOI, _SOS = 0xD9, 0xDA
# Start-of-frame markers carry the size; C4, C8 and CC in the same range are tables and extensions.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# In entropy-coded data FF is followed by 00 (stuffing), D0..D7 (restart) or FF (fill); anything else is a marker.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


class ImageFormat(StrEnum):
    """Formats a camera sends; the value is the media type."""

    JPEG = "image/jpeg"
    PNG = "image/png"


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the bytes say of themselves; ``complete`` is false where the end of the image is missing."""

    format: ImageFormat
    width_px: int
    height_px: int
    complete: bool

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
    width = height = 0
    position = len(_PNG_MAGIC)
    while position + 12 <= len(image):
        length, kind = struct.unpack_from(">I4s", image, position)
        end = position + 12 + length
        if end > len(image):
            break
        if kind == b"IHDR" and length == 13:
            width, height = struct.unpack_from(">II", image, position + 8)
        elif not width:
            raise MalformedImageError("PNG does not begin with its IHDR chunk")
        if kind == b"IEND":
            return ImageHeader(ImageFormat.PNG, width, height, complete=True)
        position = end
    return ImageHeader(ImageFormat.PNG, width, height, complete=False)


def _read_jpeg(image: bytes) -> ImageHeader:
    width = height = 0
    position = 2
    while position + 4 <= len(image):
        if image[position] != 0xFF:
            raise MalformedImageError(f"JPEG marker expected at byte {position}")
        marker = image[position + 1]
        if marker == 0xFF:  # fill byte before a marker
            position += 1
            continue
        length = int.from_bytes(image[position + 2 : position + 4], "big")
        if length < 2:
            raise MalformedImageError(f"JPEG segment at byte {position} has length {length}")
        if marker in _SOF and position + 9 <= len(image):
            lines, columns = struct.unpack_from(">HH", image, position + 5)
            # A second frame header is against the rules; believe the larger until the decoder refuses it.
            width, height = max(width, columns), max(height, lines)
        position += 2 + length
        if marker == _SOS:
            if not width:
                raise MalformedImageError("JPEG scan without a frame header before it")
            found = _NEXT_MARKER.search(image, position)
            if found is None:
                break
            position = found.start()
        if image[position : position + 2] == bytes((0xFF, _EOI)):
            return ImageHeader(ImageFormat.JPEG, width, height, complete=True)
    return ImageHeader(ImageFormat.JPEG, width, height, complete=False)
