"""Masks that people draw: whatever program saved them, the trainer reads one kind; what is no mask is told so."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from inspector.domain.errors import BadInputError
from inspector.vision.decode import DecodeLimits
from inspector.vision.feedback_mask import plain_mask

W, H = 40, 30
BOX = (slice(5, 9), slice(10, 22))
LIMITS = DecodeLimits()


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def drawn(shape: tuple[int, ...], value: object, dtype: type = np.uint8) -> np.ndarray:
    pixels = np.zeros((H, W, *shape), dtype)
    pixels[BOX] = value
    return pixels


def opaque(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, np.full((H, W), 255, np.uint8)])


def palette() -> Image.Image:
    image = Image.fromarray(drawn((), 1))
    image.putpalette([0, 0, 0, 128, 0, 0])
    return image


def black_strokes_on_nothing() -> Image.Image:
    return Image.fromarray(drawn((4,), (0, 0, 0, 255)))


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(drawn((), 255)),
        Image.fromarray(drawn((), 1)),
        Image.fromarray(drawn((), True, bool)),
        Image.fromarray(drawn((), 300, np.uint16)),
        Image.fromarray(drawn((3,), (255, 0, 0))),
        Image.fromarray(opaque(drawn((3,), (0, 0, 9)))),
        palette(),
        black_strokes_on_nothing(),
    ],
    ids=["white", "label", "1-bit", "16-bit", "red", "opaque", "palette", "transparent"],
)
def test_whatever_program_drew_it_the_mask_is_the_same(picture: Image.Image) -> None:
    made = plain_mask(png(picture), W, H, LIMITS)
    with Image.open(io.BytesIO(made)) as read:
        assert (read.mode, read.size) == ("L", (W, H))
        np.testing.assert_array_equal(np.asarray(read), drawn((), 255))
    assert made == plain_mask(png(Image.fromarray(drawn((), 255))), W, H, LIMITS)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"", "0 bytes"),
        (b"GIF89a", "neither JPEG nor PNG"),
        (png(Image.new("L", (W, H), 9))[:-20], "end marker"),
        (png(Image.new("L", (H, W), 9)), f"{H} x {W}"),
        (png(Image.new("L", (W, H), 0)), "nothing drawn"),
        (png(Image.new("L", (W, H), 9)), "everything drawn"),
        (png(Image.fromarray(drawn((), 255))).replace(b"IDAT", b"IDAT\x00", 1), "PNG"),
    ],
    ids=["empty", "gif", "cut", "turned", "blank", "full", "damaged"],
)
def test_what_is_no_mask_of_the_frame_is_refused_in_words(bad: bytes, said: str) -> None:
    with pytest.raises(BadInputError) as caught:
        plain_mask(bad, W, H, LIMITS)
    assert said in str(caught.value)


def test_a_jpeg_is_refused_its_edges_are_no_ones() -> None:
    file = io.BytesIO()
    Image.fromarray(drawn((), 255)).save(file, "JPEG")
    with pytest.raises(BadInputError, match="image/jpeg"):
        plain_mask(file.getvalue(), W, H, LIMITS)


def test_a_mask_beyond_the_limits_is_refused_before_it_is_decoded() -> None:
    whole = png(Image.fromarray(drawn((), 255)))
    with pytest.raises(BadInputError, match="bytes"):
        plain_mask(whole, W, H, DecodeLimits(max_bytes=len(whole) - 1))
    with pytest.raises(BadInputError, match="pixels"):
        plain_mask(whole, W, H, DecodeLimits(max_pixels=W * H - 1))
    with pytest.raises(BadInputError, match="grey PNG"):
        plain_mask(png(Image.fromarray(drawn((3,), 255))), W, H, DecodeLimits(max_decoded_bytes=3 * W * H))
    plain_mask(whole, W, H, DecodeLimits(max_decoded_bytes=3 * W * H))
