"""Frames for tests of the line: plain parts with and without a mark, and everything a hostile producer may send."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image


def part(seed: int, *, marked: bool = False, size: tuple[int, int] = (240, 320)) -> np.ndarray:
    """Return a grey brushed part, uint8 [H, W, 3]; ``marked`` draws a dark blob on it."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(150, 6, (size[0], 1, 1))
    image = np.clip(rows + rng.normal(0, 3, (*size, 1)), 0, 255).astype(np.uint8).repeat(3, axis=2)
    if marked:
        centre = (int(rng.integers(60, size[1] - 60)), int(rng.integers(60, size[0] - 60)))
        cv2.circle(image, centre, 26, (20, 20, 30), -1, cv2.LINE_AA)
    return image


def jpeg(image: np.ndarray, quality: int = 90) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def cmyk_jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(part(seed)).convert("CMYK").save(buffer, "JPEG")
    return buffer.getvalue()


def png_bomb(side: int = 30_000) -> bytes:
    """Return a PNG of a few dozen kB that unpacks to ``side`` x ``side`` grey pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(9)
    row = bytes(side + 1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def accepted(seed: int) -> dict[str, bytes]:
    """Return unusual frames that can be inspected, by name."""
    image = part(seed)
    grey = image[:, :, 0]
    return {
        "grey jpeg": jpeg(grey),
        "grey png": png(grey),
        "16-bit png": png(grey.astype(np.uint16) * 257),
        "16-bit colour png": png(image.astype(np.uint16) * 257),
        "alpha png": png(np.dstack([image, np.full_like(grey, 128)])),
        "cmyk jpeg": cmyk_jpeg(seed),
    }


def rejected(seed: int) -> dict[str, tuple[dict[str, object], str]]:
    """Return records no inspector can use, by name, with the reason each must be given."""
    good = jpeg(part(seed))
    key = b"cam-bad"
    return {
        "not an image": ({"key": key, "value": b"hello, this is no image" * 10}, "undecodable"),
        "truncated jpeg": ({"key": key, "value": good[: len(good) // 2]}, "truncated"),
        "truncated png": ({"key": key, "value": png(part(seed))[:-200]}, "truncated"),
        "png bomb": ({"key": key, "value": png_bomb()}, "too_many_pixels"),
        "0 bytes": ({"key": key, "value": b""}, "empty"),
        "no value": ({"key": key, "value": None}, "empty"),
        "over the size limit": ({"key": key, "value": good + bytes(3 * 2**20)}, "too_large"),
        "png called jpeg": (
            {"key": key, "value": png(part(seed)), "headers": [("content_type", b"image/jpeg")]},
            "content_type",
        ),
        "gif": ({"key": key, "value": good, "headers": [("content_type", b"image/gif")]}, "content_type"),
        "no camera id": ({"value": good}, "no_camera_id"),
        "two camera ids": ({"key": key, "value": good, "headers": [("camera_id", b"other")]}, "camera_id_conflict"),
        "malformed header": ({"key": key, "value": good, "headers": [("part_id", b"\xff\xfe")]}, "malformed_header"),
        "malformed time": ({"key": key, "value": good, "headers": [("captured_at", b"noon")]}, "malformed_header"),
        "unknown schema": ({"key": key, "value": good, "headers": [("schema", b"frames/99")]}, "unknown_schema"),
    }
