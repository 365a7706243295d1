"""Damaged and hostile images end as an image or a reason, within memory and time, whatever was done to them."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from image_mutations import mutated, originals

from inspector.domain.errors import FrameRejectedError
from inspector.domain.outcome import RejectReason
from inspector.vision import decode as decoding
from inspector.vision.decode import DecodeLimits, decode
from inspector.vision.opencv import cv2

FUZZER = Path(__file__).with_name("fuzz_decode.py")
FORMATS = ("jpeg", "png")


def fuzz(first: int, count: int) -> None:
    done = subprocess.run(
        [sys.executable, str(FUZZER), str(first), str(count)], capture_output=True, text=True, check=False
    )
    # The last seed named is the one that did it; a killed decoder says nothing itself.
    assert done.returncode == 0, f"exit {done.returncode} at: {done.stderr[-3000:]}"
    facts = json.loads(done.stdout)
    print(facts)
    counts = facts["counts"]
    assert sum(counts.get(name, 0) for name in ("image", *(reason.value for reason in RejectReason))) == count
    assert counts["image"] > count / 100, "so few survive that the decoder is hardly met"
    assert counts["undecodable"] > count / 100


def test_mutated_images_are_decoded_or_refused() -> None:
    fuzz(0, 500)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_mutated_images_are_decoded_or_refused() -> None:
    for first in range(1_000, 26_000, 5_000):
        fuzz(first, 5_000)


def test_the_same_seed_is_the_same_image_so_that_a_finding_can_be_looked_at() -> None:
    images = originals()
    assert mutated(11, images) == mutated(11, originals())
    assert len({mutated(seed, images)[1] for seed in range(100)}) > 90


@pytest.mark.parametrize("name", sorted(originals()))
def test_only_jpeg_and_png_reach_the_decoder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[bytes] = []

    def imdecode(data: object, *_: object) -> None:
        shown.append(bytes(data))  # type: ignore[call-overload]

    monkeypatch.setattr(decoding.cv2, "imdecode", imdecode)
    with pytest.raises(FrameRejectedError) as caught:
        decode(originals()[name], "", DecodeLimits(), 64)
    assert caught.value.reason is RejectReason.UNDECODABLE
    taken = name.startswith(FORMATS) and name != "png-animated"
    assert bool(shown) is taken


@pytest.mark.parametrize("declared", ["image/tiff", "image/webp", "image/bmp", "image/svg+xml", "application/pdf"])
def test_a_format_that_no_camera_sends_is_refused_by_its_name_too(declared: str) -> None:
    with pytest.raises(FrameRejectedError) as caught:
        decode(originals()["jpeg"], declared, DecodeLimits(), 64)
    assert caught.value.reason is RejectReason.CONTENT_TYPE


def _png_of(width: int, height: int, body: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (50_000_001, 1), (8_000, 6_000)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the decoder was asked")

    monkeypatch.setattr(cv2, "imdecode", never)
    bomb = _png_of(*size, zlib.compress(bytes(10_000_000), 9))
    assert len(bomb) < 20_000
    with pytest.raises(FrameRejectedError) as caught:
        decode(bomb, "image/png", DecodeLimits(), 64)
    assert caught.value.reason is RejectReason.TOO_MANY_PIXELS


def test_a_bomb_inside_a_text_chunk_costs_nothing() -> None:
    """A compressed comment that unpacks to 64 MB, on a picture of one pixel."""
    packed = zlib.compress(bytes(64 * 2**20), 9)
    body = b"note\0\0" + packed
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    plain = _png_of(1, 1, zlib.compress(b"\0\1\2\3"))
    image = decode(plain[:33] + chunk + plain[33:], "image/png", DecodeLimits(), 64)
    assert image.pixels.shape == (64, 64, 3)
