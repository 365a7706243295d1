"""What a line camera adds to a scene: movement, light that drifts, sensor noise, JPEG."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from inspector.rendering.surfaces import ByteImage
from inspector.simulator.scene import FRAME_HEIGHT_PX, FRAME_WIDTH_PX, MARGIN_PX
from inspector.vision.opencv import cv2

JPEG_QUALITY = 90
_NOISE_PAD_PX = 192
_NOISE_LEVELS = 2.1  # deviation in grey levels of 255
_DRIFT_PERIOD = 900  # frames in which the lamp warms up and cools down


def vibration(rng: np.random.Generator, index: int) -> NDArray[np.float64]:
    """Return the affine map [2, 3] from scene to frame: where this part came to rest, and the camera's shake."""
    sway = 1.5 * math.sin(index / 37)
    shift_x, shift_y = (float(s) for s in np.clip(rng.normal((sway, 0), 2.2), -8, 8))
    turn = float(np.clip(rng.normal(0, 0.12), -0.4, 0.4))
    centre = (FRAME_WIDTH_PX / 2 + MARGIN_PX, FRAME_HEIGHT_PX / 2 + MARGIN_PX)
    movement = cv2.getRotationMatrix2D(centre, turn, 1.0)
    movement[:, 2] += np.array([shift_x - MARGIN_PX, shift_y - MARGIN_PX])
    return np.asarray(movement, np.float64)


class SensorNoise:
    """A field of sensor noise drawn once; each frame takes a window of it at a random place.

    Pixels are display-encoded, which makes shot noise about as strong in dark as in bright places (Anscombe).
    """

    def __init__(self, rng: np.random.Generator) -> None:
        shape = (FRAME_HEIGHT_PX + _NOISE_PAD_PX, FRAME_WIDTH_PX + _NOISE_PAD_PX)
        grey = rng.standard_normal((*shape, 1), dtype=np.float32) * _NOISE_LEVELS
        # A Bayer sensor interpolates colour between pixels: chroma noise is weaker and coarser than luma noise.
        chroma = cv2.GaussianBlur(rng.standard_normal((*shape, 3), dtype=np.float32), (0, 0), 0.8) * _NOISE_LEVELS
        self._field = np.clip(np.round(grey + chroma) + 128, 0, 255).astype(np.uint8)

    def add(self, rng: np.random.Generator, frame: ByteImage) -> ByteImage:
        """Return ``frame`` (uint8 [H, W, 3]) with noise."""
        y, x = (int(v) for v in rng.integers(_NOISE_PAD_PX, size=2))
        window = self._field[y : y + frame.shape[0], x : x + frame.shape[1]]
        return np.asarray(cv2.addWeighted(frame, 1.0, window, 1.0, -128.0), np.uint8)


def expose(rng: np.random.Generator, frame: ByteImage, index: int, noise: SensorNoise) -> ByteImage:
    """Return ``frame`` under this moment's light, with sensor noise."""
    lit = cv2.multiply(frame, _light(rng, index), scale=1 / 160)
    return noise.add(rng, np.asarray(lit, np.uint8))


def _light(rng: np.random.Generator, index: int) -> ByteImage:
    """Return the gain (160 is 1.0), uint8 [H, W, 3]: lens fall-off, a lamp that wanders, warms up and flickers."""
    y, x = np.mgrid[-1:1:9j, -1:1:11j]
    drift = 2 * math.pi * index / _DRIFT_PERIOD
    lamp_x, lamp_y = -0.25 + 0.12 * math.sin(drift * 1.7), -0.2 + 0.08 * math.cos(drift)
    gain = 1.06 - 0.085 * ((x - lamp_x) ** 2 + (y - lamp_y) ** 2)
    gain = gain * (1 + 0.035 * math.sin(drift) + float(np.clip(rng.normal(0, 0.006), -0.02, 0.02)))
    warmth = 0.008 * math.sin(drift * 0.6 + 1)
    field = gain[..., None] * np.array([1 - warmth, 1.0, 1 + warmth])
    small = np.clip(field * 160, 0, 255).astype(np.float32)
    large = cv2.resize(small, (FRAME_WIDTH_PX // 4, FRAME_HEIGHT_PX // 4), interpolation=cv2.INTER_CUBIC)
    rounded = np.round(large).astype(np.uint8)
    return np.asarray(cv2.resize(rounded, (FRAME_WIDTH_PX, FRAME_HEIGHT_PX), interpolation=cv2.INTER_LINEAR), np.uint8)


def encode_jpeg(frame: ByteImage) -> bytes:
    """Encode as the camera does."""
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise RuntimeError("OpenCV could not encode a frame as JPEG")
    return data.tobytes()
