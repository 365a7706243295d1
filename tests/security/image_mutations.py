"""Encoded images of every kind that cameras and hostile senders know, and ways to damage them; all from one seed."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

_PNG_MAGIC_BYTES = 8
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Mutation = Callable[[random.Random, bytes], bytes]


def originals() -> Mapping[str, bytes]:
    """Return small images by name; the name begins with the format."""
    noise = np.random.default_rng(7).integers(0, 256, (48, 64, 3), np.uint8)
    smooth = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    rgb, grey = Image.fromarray(noise), Image.fromarray(smooth)
    kinds: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "jpeg": (rgb, "JPEG", {"quality": 90}),
        "jpeg-progressive": (rgb, "JPEG", {"progressive": True, "optimize": True}),
        "jpeg-grey": (grey, "JPEG", {}),
        "jpeg-cmyk": (rgb.convert("CMYK"), "JPEG", {}),
        "jpeg-restarts": (rgb, "JPEG", {"subsampling": 0, "restart_marker_blocks": 2}),
        "jpeg-extras": (rgb, "JPEG", {"icc_profile": bytes(200), "comment": "x" * 50, "exif": b"Exif\0\0" + bytes(60)}),
        "png": (rgb, "PNG", {}),
        "png-grey": (grey, "PNG", {}),
        "png-16": (Image.fromarray(smooth.astype(np.uint16) * 255), "PNG", {}),
        "png-palette": (rgb.convert("P"), "PNG", {}),
        "png-alpha": (rgb.convert("RGBA"), "PNG", {"icc_profile": bytes(128)}),
        "png-animated": (rgb, "PNG", {"save_all": True, "append_images": [rgb.rotate(90)]}),
        "tiff": (rgb, "TIFF", {}),
        "tiff-lzw": (rgb, "TIFF", {"compression": "tiff_lzw"}),
        "tiff-deflate": (grey, "TIFF", {"compression": "tiff_deflate"}),
        "webp": (rgb, "WEBP", {}),
        "webp-lossless": (grey, "WEBP", {"lossless": True}),
        "bmp": (rgb, "BMP", {}),
        "gif": (grey, "GIF", {}),
    }
    made = {}
    for name, (image, kind, options) in kinds.items():
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        made[name] = buffer.getvalue()
    return made


def mutated(seed: int, images: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Return the name of an original and a damaged copy, the same for the same seed."""
    rng = random.Random(seed)
    name = rng.choice(sorted(images))
    data = images[name]
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        mutations = [*_ANY, *(_PNG if data.startswith(b"\x89PNG") else ()), *(_JPEG if data[:2] == b"\xff\xd8" else ())]
        data = rng.choice(mutations)(rng, data)
    if rng.random() < 0.1:
        data = _spliced(rng, data, images[rng.choice(sorted(images))])
    return name, data


def _flipped(rng: random.Random, data: bytes) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 2, 16))):
        if damaged:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _overwritten(rng: random.Random, data: bytes) -> bytes:
    value, order = rng.choice(_INTERESTING), rng.choice("<>")
    packed = struct.pack(f"{order}I", value) if value > 0xFFFF else struct.pack(f"{order}H", value)
    # Headers stand in front: half of the blows land there.
    place = rng.randrange(min(len(data), 64) if rng.random() < 0.5 else len(data)) if data else 0
    return data[:place] + packed + data[place + len(packed) :]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _cut_out(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.randrange(1, 64) :]


def _repeated(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    piece = data[start : start + rng.randrange(1, 512)]
    return data[:start] + piece * rng.choice((2, 3, 50)) + data[start:]


def _stuffed(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.randbytes(rng.choice((1, 7, 300))) + data[place:]


def _spliced(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other)) :]


def _png_resized(rng: random.Random, data: bytes) -> bytes:
    """Say another size, with a checksum that fits: past the checks that only chance would pass."""
    if len(data) < 33:
        return data
    sizes = (1, 2, 65, 9_000, 65_535, 2**31 - 1)
    body = struct.pack(">II", rng.choice(sizes), rng.choice(sizes)) + bytes(
        [rng.choice((1, 8, 16)), rng.choice((0, 2, 3, 4, 6, 7)), 0, 0, rng.choice((0, 1))]
    )
    return data[:8] + _chunk(b"IHDR", body) + data[33:]


def _png_rechecked(rng: random.Random, data: bytes) -> bytes:
    """Damage one chunk's content and mend its checksum."""
    chunks, position = [], _PNG_MAGIC_BYTES
    while position + 12 <= len(data) and len(chunks) < 1000:
        length = int.from_bytes(data[position : position + 4], "big")
        chunks.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    if not chunks:
        return data
    number = rng.randrange(len(chunks))
    kind, body = chunks[number]
    chunks[number] = (kind, rng.choice((_flipped, _cut, _repeated, _stuffed))(rng, body))
    if rng.random() < 0.2:
        rng.shuffle(chunks)
    return data[:8] + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _jpeg_resized(rng: random.Random, data: bytes) -> bytes:
    place = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    if place < 0 or place + 9 > len(data):
        return data
    size = struct.pack(">HH", rng.choice((0, 1, 64, 9_000, 65_535)), rng.choice((0, 1, 64, 9_000, 65_535)))
    return data[: place + 5] + size + data[place + 9 :]


def _jpeg_segment(rng: random.Random, data: bytes) -> bytes:
    """Put in a segment of any kind, well formed, or one that lies about its length."""
    body = rng.randbytes(rng.choice((0, 3, 64)))
    length = rng.choice((len(body) + 2, rng.randrange(65_536)))
    return data[:2] + bytes([0xFF, rng.randrange(0xC0, 0xFF)]) + struct.pack(">H", length) + body + data[2:]


_ANY: tuple[Mutation, ...] = (_flipped, _overwritten, _overwritten, _cut, _cut_out, _repeated, _stuffed)
_PNG: tuple[Mutation, ...] = (_png_resized, _png_rechecked, _png_rechecked, _png_rechecked)
_JPEG: tuple[Mutation, ...] = (_jpeg_resized, _jpeg_segment, _flipped)
