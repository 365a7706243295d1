"""pHash: the same for the same look, whatever noise, quality, size and format make of the bytes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sample_kit import picture

from inspector.domain.errors import FrameRejectedError
from inspector.vision.decode import DecodeLimits, decode_full
from inspector.vision.opencv import cv2
from inspector.vision.perceptual_hash import perceptual_hash

LIMITS = DecodeLimits()


def phash(image: bytes) -> str:
    return perceptual_hash(image, "", LIMITS)


def distance(one: bytes, other: bytes) -> int:
    return (int(phash(one), 16) ^ int(phash(other), 16)).bit_count()


def encoded(pixels: np.ndarray, suffix: str = ".png", *options: int) -> bytes:
    done, data = cv2.imencode(suffix, pixels[..., ::-1], list(options))
    assert done
    return data.tobytes()


@pytest.mark.parametrize("seed", range(5))
def test_noise_exposure_size_quality_and_format_hardly_change_it(seed: int) -> None:
    image = picture(seed)
    pixels = decode_full(image)
    brighter = np.clip(pixels * 1.03 + 2, 0, 255).astype(np.uint8)
    half = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    for changed in (
        picture(seed, noise=3.0),
        encoded(brighter),
        encoded(half),
        encoded(pixels),
        encoded(pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 60),
    ):
        assert distance(image, changed) <= 4


def test_other_pictures_have_other_hashes() -> None:
    assert all(distance(picture(one), picture(other)) > 10 for one, other in itertools.combinations(range(8), 2))


def test_it_is_64_bits_in_16_digits_and_the_same_each_time() -> None:
    assert len(phash(picture(0))) == 16
    assert phash(picture(0)) == phash(picture(0))


def test_it_is_the_published_method() -> None:
    """Against the definition, computed by hand: an orthonormal DCT-II of 32 x 32 grey levels, its lowest 8 x 8."""
    rng = np.random.default_rng(3)
    pixels = np.repeat(rng.integers(0, 256, (32, 32, 1), dtype=np.uint8), 3, axis=2)
    k, n = np.mgrid[0:32, 0:32]
    basis = np.cos(np.pi * (2 * n + 1) * k / 64) * np.where(k == 0, np.sqrt(1 / 32), np.sqrt(2 / 32))
    lowest = (basis @ pixels[..., 0].astype(float) @ basis.T)[:8, :8].ravel()
    expected = "".join("1" if value > np.median(lowest[1:]) else "0" for value in lowest)
    assert f"{int(phash(encoded(pixels)), 16):064b}" == expected


@pytest.mark.parametrize("image", [b"", b"no picture", picture(0)[:100]])
def test_what_is_no_picture_is_refused(image: bytes) -> None:
    with pytest.raises(FrameRejectedError):
        phash(image)


def test_a_flat_picture_has_a_hash() -> None:
    assert len(phash(encoded(np.full((40, 40, 3), 128, np.uint8)))) == 16
