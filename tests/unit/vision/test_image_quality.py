"""What is wrong with a camera shows in the figures of its pictures, and the part on them hardly does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.domain.drift import FrameQuality
from inspector.domain.errors import FrameRejectedError
from inspector.simulator.line import line
from inspector.vision.decode import DecodeLimits, decode_full, decode_view
from inspector.vision.image_quality import frame_quality
from inspector.vision.opencv import cv2

Pixels = NDArray[np.uint8]
LIMITS = DecodeLimits()
PARTS = [frame.jpeg for _, frame in zip(range(3), line("plate", seed=3, defect_rate=0.0).frames(), strict=False)]


def encoded(pixels: NDArray[np.floating] | Pixels) -> bytes:
    """Return RGB pixels as a PNG, which loses nothing."""
    levels = np.clip(np.round(pixels), 0, 255).astype(np.uint8)
    return cv2.imencode(".png", levels[..., ::-1])[1].tobytes()


def changed(change: Callable[[Pixels], NDArray[np.floating] | Pixels]) -> tuple[list[FrameQuality], list[FrameQuality]]:
    """Return the qualities of some parts, as they are and changed."""
    pictures = [decode_view(jpeg, (640, 640)) for jpeg in PARTS]
    before = [frame_quality(encoded(picture), LIMITS) for picture in pictures]
    return before, [frame_quality(encoded(change(picture)), LIMITS) for picture in pictures]


def ratio(before: list[FrameQuality], after: list[FrameQuality], name: str) -> float:
    return float(np.median([getattr(a, name) / getattr(b, name) for b, a in zip(before, after, strict=True)]))


def test_out_of_focus_loses_detail_and_keeps_contrast_and_brightness() -> None:
    found = changed(lambda p: cv2.GaussianBlur(p, (0, 0), 4))
    assert ratio(*found, "focus") < 0.6
    assert ratio(*found, "sharpness") < 0.6
    assert ratio(*found, "contrast") > 0.9
    assert ratio(*found, "brightness") == pytest.approx(1, abs=0.02)


def test_haze_flattens_and_lifts_the_shadows_and_is_not_taken_for_blur() -> None:
    found = changed(lambda p: 0.6 * p.astype(np.float64) + 0.4 * 190)
    assert ratio(*found, "contrast") == pytest.approx(0.6, abs=0.02)
    assert ratio(*found, "veil") > 1.5
    assert ratio(*found, "focus") == pytest.approx(1, abs=0.1)


def test_exposure_shows_in_brightness_and_in_pixels_without_detail() -> None:
    before, dark = changed(lambda p: p.astype(np.float64) * 0.5)
    assert ratio(before, dark, "brightness") == pytest.approx(0.5, abs=0.02)
    before, bright = changed(lambda p: p.astype(np.float64) * 3)
    assert min(after.clipped_bright for after in bright) > 0.1 > max(was.clipped_bright for was in before)


def test_a_smear_shows_in_its_cells_alone() -> None:
    def smeared(pixels: Pixels) -> NDArray[np.floating]:
        height, width = pixels.shape[:2]
        dirty = pixels.astype(np.float64)
        dirty[: height // 4, : width // 4] *= 0.6
        return dirty

    before, after = changed(smeared)
    cells = np.array([a.cells for a in after]) - np.array([b.cells for b in before])
    grid = cells.mean(axis=0).reshape(16, 16)
    assert grid[:4, :4].max() < -0.02
    assert np.abs(grid[5:, 5:]).max() < 1e-3


def test_the_figures_are_those_of_the_picture_and_not_of_its_size() -> None:
    picture = decode_full(PARTS[0])
    twice = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    small, large = frame_quality(encoded(picture), LIMITS), frame_quality(encoded(twice), LIMITS)
    for name in ("contrast", "brightness", "veil", "sharpness"):
        assert getattr(large, name) == pytest.approx(getattr(small, name), rel=0.15)


def test_a_plain_frame_is_measured_and_what_is_no_picture_is_refused() -> None:
    plain = frame_quality(encoded(np.full((64, 64, 3), 128, np.uint8)), LIMITS)
    assert (plain.sharpness, plain.focus, plain.contrast) == (0, 0, 0)
    with pytest.raises(FrameRejectedError):
        frame_quality(b"no picture", LIMITS)
    with pytest.raises(FrameRejectedError):
        frame_quality(PARTS[0][:-100], LIMITS)
