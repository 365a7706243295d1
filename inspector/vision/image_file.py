"""Image files on disk, of any layout: which files are images, and their bytes as a frame would carry them."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from inspector.domain import text
from inspector.vision.decode import DecodeLimits, fits_as_png, memory_is_ours
from inspector.vision.opencv import cv2

JPEG = "image/jpeg"
PNG = "image/png"
_SIGNATURES = {
    b"\xff\xd8\xff": JPEG,
    b"\x89PNG\r\n\x1a\n": PNG,
    b"BM": "image/bmp",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
}
_EXTENSIONS = {
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".png": PNG,
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
}


def printable(path: Path) -> str:
    """Return ``path`` as text that can be logged: undecodable bytes and control characters are escaped."""
    return text.printable(os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace"))


def list_images(folder: Path) -> list[Path]:
    """Return the image files below ``folder`` in sorted order; hidden ones are left out, links to folders not followed.

    A file counts as an image by its first bytes or else by its extension, so that a damaged ``part.jpg`` is found and
    later fails with a reason, instead of being silently left out.
    """
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found += [Path(parent, f) for f in files if not f.startswith(".") and _content_type(Path(parent, f))]
    return sorted(found)


def _content_type(path: Path) -> str | None:
    if not path.is_file():  # a named pipe would block the open below for ever
        return None
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        head = b""  # counts by its extension; reading it later reports why it cannot be read
    return _sniff(head) or _EXTENSIONS.get(path.suffix.lower())


def _sniff(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _SIGNATURES.items() if head.startswith(start)), None)


def load_image(path: Path) -> tuple[bytes, str]:
    """Return (encoded image, media type): JPEG and PNG bytes as they are, other formats as PNG.

    A file that is no image by its first bytes and extension passes as JPEG, for a decoder to refuse with its reason.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is too large, or its pixels cannot be read or do not fit into a PNG.
        MemoryError: this process has too little memory for it.
    """
    data = path.read_bytes()
    kind = _sniff(data[:12]) or _EXTENSIONS.get(path.suffix.lower(), JPEG)
    if kind in (JPEG, PNG):
        return data, kind
    _check_convertible(data, kind)
    try:
        with memory_is_ours():
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            png = None if pixels is None else cv2.imencode(".png", pixels)[1]
    except cv2.error as error:
        raise ValueError(f"no readable {kind}: {error.err}") from error
    if png is None or not png.size:
        raise ValueError(f"no readable {kind} with pixels that fit into a PNG")
    return png.tobytes(), PNG


def _check_convertible(data: bytes, kind: str) -> None:
    """Refuse by its header what is no picture of whole numbers, or too large to be taken as the PNG it would become."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that are refused below, and of odd tags
            with Image.open(io.BytesIO(data), formats=[kind.removeprefix("image/").upper()]) as header:
                width, height = header.size
                floating = header.mode == "F"
    except Image.DecompressionBombError as error:
        raise ValueError("it has too many pixels") from error
    except Exception as error:  # Pillow raises whatever its readers meet in a broken header
        raise ValueError(f"no readable {kind}") from error
    if floating:
        raise ValueError("its pixels are floating-point numbers, which do not fit into a PNG")
    limits = DecodeLimits()
    if not fits_as_png(width, height, limits):
        raise ValueError(
            f"{width} x {height} pixels are too many to be decoded within {limits.max_decoded_bytes} bytes"
        )
