"""The camera: light over the frame, lens, exposure, noise, compression."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from inspector.rendering.scenes.noise import value_noise, white_noise
from inspector.rendering.scenes.surface import as_bytes, choose, grid
from inspector.rendering.surfaces import ByteImage, FloatImage
from inspector.vision.opencv import cv2


@dataclass(frozen=True, slots=True)
class Camera:
    """How a scene is seen; what belongs to the installation, not to the single frame."""

    gradient: tuple[float, float]  # of the light, from the frame's middle to its edge (x, y)
    vignette: float
    patches: float  # how much the light wavers over the frame
    balance: tuple[float, float, float]  # gains of blue, green, red
    exposure: float
    gamma: float
    defocus_px: float
    motion_px: float
    motion_angle: float
    shot_noise: float
    read_noise: float
    quality: int | None  # of JPEG; None: no compression
    grey: bool


def camera(rng: np.random.Generator, unit: float) -> Camera:
    """Draw a camera and its lamp; lengths are multiplied by ``unit``."""
    warmth = rng.normal(0, 0.07)
    noisy = rng.random() ** 2
    return Camera(
        gradient=(rng.normal(0, 0.13), rng.normal(0, 0.13)),
        vignette=rng.uniform(0, 0.35) * (rng.random() < 0.5),
        patches=rng.uniform(0, 0.08),
        balance=(1 - warmth, 1 + rng.normal(0, 0.02), 1 + warmth),
        exposure=math.exp(rng.normal(0, 0.16)),
        gamma=math.exp(rng.normal(0, 0.14)),
        defocus_px=choose(rng, 0.0, 0.0, rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.9), rng.uniform(0.6, 1.6)) * unit,
        motion_px=rng.uniform(2, 6) * unit if rng.random() < 0.07 else 0.0,
        motion_angle=rng.uniform(0, math.pi),
        shot_noise=3.5 * noisy,
        read_noise=rng.uniform(0.2, 1.0) + 4 * noisy,
        quality=int(rng.integers(40, 96)) if rng.random() < 0.75 else None,
        grey=bool(rng.random() < 0.15),
    )


def another_day(rng: np.random.Generator, seen: Camera) -> Camera:
    """Return the same camera under a lamp that has been moved, dimmed or warmed."""
    warmth = rng.normal(0, 0.03)
    return replace(
        seen,
        gradient=(seen.gradient[0] + rng.normal(0, 0.06), seen.gradient[1] + rng.normal(0, 0.06)),
        balance=(seen.balance[0] - warmth, seen.balance[1], seen.balance[2] + warmth),
        exposure=seen.exposure * math.exp(rng.normal(0, 0.07)),
    )


def expose(rng: np.random.Generator, scene: ByteImage, seen: Camera) -> ByteImage:
    """Take a photograph of ``scene`` (uint8 BGR [S, S, 3]); nothing in it moves.

    Raises:
        RuntimeError: the picture cannot be compressed.
    """
    side = scene.shape[0]
    if abs(seen.gamma - 1) > 0.02:
        levels = 255 * (np.arange(256, dtype=np.float32) / 255) ** np.float32(seen.gamma)
        scene = np.asarray(cv2.LUT(scene, as_bytes(levels.astype(np.float32))), np.uint8)
    image = scene.astype(np.float32)
    if seen.defocus_px > 0.2:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), seen.defocus_px), np.float32)
    if seen.motion_px:
        image = _moved(image, seen.motion_px, seen.motion_angle)
    light = _light(rng, side, seen)
    image *= np.asarray(cv2.merge([light * np.float32(gain) for gain in seen.balance]), np.float32)
    noise = white_noise(rng, (side, side * 3)).reshape(image.shape)
    image += noise * (seen.read_noise + seen.shot_noise * np.sqrt(np.clip(image, 0, 255) * np.float32(1 / 255)))
    picture = as_bytes(image)
    if seen.grey:
        picture = np.asarray(cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)
    return picture if seen.quality is None else compressed(picture, seen.quality)


def compressed(picture: ByteImage, quality: int) -> ByteImage:
    """Return ``picture`` after JPEG of ``quality``.

    Raises:
        RuntimeError: it cannot be compressed.
    """
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError(f"a picture of {picture.shape} cannot be compressed as JPEG")
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def binarised(picture: ByteImage) -> ByteImage:
    """Return ``picture`` in pure black and white, parted at the middle of the range."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.cvtColor(np.where(grey > 127, 255, 0).astype(np.uint8), cv2.COLOR_GRAY2BGR), np.uint8)


def _light(rng: np.random.Generator, side: int, seen: Camera) -> FloatImage:
    """Return the gain of every pixel, float32 [side, side], at least 0.2."""
    coarse = side // 4  # light varies slowly
    x, y = grid(coarse)
    dx, dy = x * (2 / coarse) - 1, y * (2 / coarse) - 1
    light = 1 + seen.gradient[0] * dx + seen.gradient[1] * dy - seen.vignette * 0.5 * (dx**2 + dy**2)
    light += seen.patches * value_noise(rng, (coarse, coarse), (coarse / 3, coarse / 3))
    gain = np.clip(light * np.float32(seen.exposure), 0.2, 2.0)
    return np.asarray(cv2.resize(gain, (side, side)), np.float32)


def _moved(image: FloatImage, length_px: float, angle: float) -> FloatImage:
    half = math.ceil(length_px / 2)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    reach = np.array([math.cos(angle), math.sin(angle)]) * length_px / 2
    ends = (np.round(half - reach).astype(int), np.round(half + reach).astype(int))
    cv2.line(kernel, (int(ends[0][0]), int(ends[0][1])), (int(ends[1][0]), int(ends[1][1])), 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT), np.float32)
