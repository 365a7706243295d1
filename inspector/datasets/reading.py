"""Pixels of a sample: its mask at any size, the mask of its types, the image as a frame would carry it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inspector.datasets.sample import Sample
from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.vision.decode import DecodeLimits, check
from inspector.vision.image_file import load_image, printable
from inspector.vision.opencv import OPENCV_MAX_PIXELS, cv2

UNKNOWN_TYPE = 255
MAX_TYPES = UNKNOWN_TYPE - 1
# What a data set may hold is larger than what a camera may send; the decoder's own limit stands behind it.
_LIMITS = DecodeLimits(max_bytes=256 * 2**20, max_pixels=OPENCV_MAX_PIXELS)
# Scaling rounds each side to a pixel: aspects differ by so much without either picture being cut.
_ASPECT_TOLERANCE = 0.01


class MaskError(BadInputError):
    """A mask that is missing, cannot be read, or does not fit its image."""


def image_bytes(sample: Sample) -> tuple[bytes, str]:
    """Return the sample's encoded image and its media type, JPEG or PNG. Raises as ``vision.image_file.load_image``."""
    return load_image(sample.image)


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image file by its header; nothing is decoded of a JPEG or PNG.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no image, cut off, or too large; says why.
    """
    try:
        header = check(*load_image(path), _LIMITS)
    except FrameRejectedError as error:
        raise ValueError(error.detail) from error
    return header.width_px, header.height_px


def read_mask(sample: Sample, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return where the sample is defective, at ``size`` (width, height): uint8 [height, width] of 0 and 1.

    Area-averaged, then thresholded at 0.5: a thin defect keeps every pixel it covers by half or more.

    Raises:
        MaskError: nobody drew the mask of this defect, it cannot be read, or has another aspect than its image.
    """
    if not sample.anomalous:
        return np.zeros((size[1], size[0]), np.uint8)
    defective = (_fitting(sample) > sample.mask_above).astype(np.float32)
    return (cv2.resize(defective, size, interpolation=cv2.INTER_AREA) >= 0.5).astype(np.uint8)


def read_type_mask(sample: Sample, size: tuple[int, int], types: Sequence[str]) -> NDArray[np.uint8]:
    """Return which of ``types`` each pixel shows, at ``size`` (width, height): uint8 [height, width].

    By the nearest pixel of the mask: 0 is normal, k the k-th of ``types``, 255 a defect of none of them, or of a sample
    that shows several while its mask does not tell them apart.

    Raises:
        MaskError: as ``read_mask``.
        ValueError: more than 254 types.
    """
    if len(types) > MAX_TYPES:
        raise ValueError(f"expected at most {MAX_TYPES} types, got {len(types)}")
    if not sample.anomalous:
        return np.zeros((size[1], size[0]), np.uint8)
    grey = cv2.resize(_fitting(sample), size, interpolation=cv2.INTER_NEAREST)
    return cast(NDArray[np.uint8], _type_of_value(sample, types)[grey])


def _type_of_value(sample: Sample, types: Sequence[str]) -> NDArray[np.uint8]:
    place = {word: index for index, word in enumerate(types, 1)}
    only = place.get(sample.defect_types[0], UNKNOWN_TYPE) if len(sample.defect_types) == 1 else UNKNOWN_TYPE
    of_value = np.full(256, UNKNOWN_TYPE if sample.mask_types else only, np.uint8)
    for value, word in sample.mask_types:
        of_value[value] = place.get(word, UNKNOWN_TYPE)
    of_value[: sample.mask_above + 1] = 0
    return of_value


def read_grey(sample: Sample) -> NDArray[np.uint8]:
    """Return the values that the sample's mask holds: uint8 [H, W]; above 255 counts as 255.

    A palette's indices are taken, not its colours; of several colour channels the largest value.

    Raises:
        MaskError: there is none, or it cannot be read.
    """
    if sample.mask is None:
        raise MaskError("a mask of every defect to measure", f"none of {sample.name}", "draw it, or leave pixels out")
    try:
        data, media_type = load_image(sample.mask)
        check(data, media_type, _LIMITS)
        return _stored_values(data)
    except (OSError, ValueError, FrameRejectedError) as error:
        reason = error.detail if isinstance(error, FrameRejectedError) else error
        raise MaskError("a readable mask", f"{printable(sample.mask)}: {reason}", "mend or remove it") from error


def _stored_values(data: bytes) -> NDArray[np.uint8]:
    # Not OpenCV, which turns a palette into colours and 16 bits into the upper 8: small values would be lost in both.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked, and of odd tags
            with Image.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as image:
                values: NDArray[Any] = np.asarray(image)
                opaque = image.mode not in ("LA", "PA", "RGBA")
    except Exception as error:  # Pillow raises whatever its readers meet in a broken file
        raise ValueError(f"the decoder refused it: {error}") from error
    if values.ndim == 3:
        values = (values if opaque else values[..., :-1]).max(axis=2)
    limited: NDArray[np.uint8] = np.minimum(values, 255).astype(np.uint8)
    return limited


def same_aspect(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether two sizes (width, height) have one aspect, up to the rounding of a scaled side."""
    width = one[0] * other[1] / one[1]
    return abs(width - other[0]) <= max(1.0, _ASPECT_TOLERANCE * other[0])


def _fitting(sample: Sample) -> NDArray[np.uint8]:
    grey = read_grey(sample)
    size = (grey.shape[1], grey.shape[0])
    try:
        of_image = picture_size(sample.image)
    except (OSError, ValueError) as error:
        raise MaskError(
            "an image of known size for its mask", f"{sample.name}: {error}", "mend or remove it"
        ) from error
    if not same_aspect(size, of_image):
        got = f"{size[0]} x {size[1]} of {sample.name} of {of_image[0]} x {of_image[1]} pixels"
        raise MaskError("a mask of its image's aspect", got, "draw it anew or remove it")
    return grey
