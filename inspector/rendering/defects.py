"""Rendered defects with masks that agree with them to the pixel: nothing outside a mask is touched.

Each painter takes the surface where the defect will lie and follows what the defect does to light: a dent shades, a
stain multiplies, a crack swallows light and lifts its rims, a particle hides what is under it and casts a shadow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inspector.rendering.shapes import blob, blurred, shifted, stroke, wandering_line
from inspector.rendering.surfaces import LIGHT, ByteImage, FloatImage, blend, fractal_noise, shade, to_bytes
from inspector.vision.opencv import cv2

_VISIBLE = 0.08  # coverage below this cannot be told from the surface and is neither painted nor masked


@dataclass(frozen=True, slots=True)
class DefectShape:
    """How large and how strong: ``size_px`` is the longest extent, ``strength`` 0 (faint) to 1 (gross)."""

    size_px: int
    strength: float


Painted = tuple[FloatImage, FloatImage]  # the changed patch [H, W, 3], 0..255, and how far the defect reaches, 0..1
Painter = Callable[[np.random.Generator, FloatImage, DefectShape], Painted]


def paint_defect(
    rng: np.random.Generator,
    image: ByteImage,
    defect_type: str,
    centre: tuple[int, int],
    shape: DefectShape,
    allowed: ByteImage | None = None,
) -> ByteImage:
    """Paint one defect into ``image`` (uint8 BGR [H, W, 3], changed in place) around ``centre`` (x, y).

    Only pixels where ``allowed`` (uint8 [H, W]) is above 0 are touched.

    Returns:
        The mask, uint8 [H, W], 255 where the defect is; empty if nothing of it fell on allowed pixels.

    Raises:
        KeyError: ``defect_type`` is not in ``DEFECT_TYPES``.
    """
    return paint(rng, image, PAINTERS[defect_type], centre, shape, allowed)


def paint(
    rng: np.random.Generator,
    image: ByteImage,
    painter: Painter,
    centre: tuple[int, int],
    shape: DefectShape,
    allowed: ByteImage | None = None,
) -> ByteImage:
    """Paint with any ``painter``, otherwise as ``paint_defect``."""
    mask = np.zeros(image.shape[:2], np.uint8)
    half = shape.size_px // 2 + 8
    left, top = max(0, centre[0] - half), max(0, centre[1] - half)
    right, bottom = min(image.shape[1], centre[0] + half), min(image.shape[0], centre[1] + half)
    if right <= left or bottom <= top:
        return mask
    # Painted on a whole patch even at the frame's edge, so that a defect is cut off there instead of squeezed.
    pads = (top - centre[1] + half, centre[1] + half - bottom, left - centre[0] + half, centre[0] + half - right)
    patch = cv2.copyMakeBorder(image[top:bottom, left:right], *pads, cv2.BORDER_REPLICATE)
    changed, reach = painter(rng, np.asarray(patch, np.float32), shape)
    window = (slice(pads[0], changed.shape[0] - pads[1]), slice(pads[2], changed.shape[1] - pads[3]))
    hit = reach[window] > _VISIBLE
    if allowed is not None:
        hit &= allowed[top:bottom, left:right] > 0
    region = image[top:bottom, left:right]
    region[hit] = to_bytes(changed[window])[hit]
    mask[top:bottom, left:right][hit] = 255
    return mask


def _middle(patch: FloatImage) -> tuple[float, float]:
    return patch.shape[1] / 2, patch.shape[0] / 2


def _start(patch: FloatImage, angle: float, length_px: float) -> tuple[float, float]:
    x, y = _middle(patch)
    return x - math.cos(angle) * length_px / 2, y - math.sin(angle) * length_px / 2


def _scratch(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A groove: its wall facing the lamp shines, the other is dark; strongest when the lamp stands across it."""
    angle = rng.uniform(0, math.pi)
    across = (-math.sin(angle), math.cos(angle))
    lamp_across = across[0] * LIGHT[0] + across[1] * LIGHT[1]
    size, width = patch.shape[:2], 0.9 + 1.6 * shape.strength * rng.uniform(0.6, 1.2)
    core = np.zeros(size, np.float32)
    for strand in range(1 + int(rng.integers(0, 3))):
        length = shape.size_px * (1 if strand == 0 else rng.uniform(0.4, 0.8))
        offset = 0 if strand == 0 else rng.uniform(-7, 7)
        start = np.add(_start(patch, angle, length), np.multiply(across, offset))
        points = wandering_line(rng, (float(start[0]), float(start[1])), angle, length, 0.012)
        core = np.maximum(core, stroke(size, points, width if strand == 0 else 0.8))
    side = 1.0 if lamp_across > 0 else -1.0
    dark = shifted(core, (across[0] * side * width, across[1] * side * width))
    gain = (35 + 75 * shape.strength) * (0.55 + 0.45 * abs(lamp_across))
    return patch + (core * gain - dark * gain * 0.6)[..., None], np.maximum(core, dark * 0.8)


def _crack(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A jagged, branching gap without light, the lifted rim on the lamp's far side catching some."""
    angle, size = rng.uniform(0, 2 * math.pi), patch.shape[:2]
    width = 1.0 + 2.6 * shape.strength
    trunk = wandering_line(rng, _start(patch, angle, shape.size_px * 0.95), angle, shape.size_px * 0.95, 0.3)
    gap = stroke(size, trunk, width)
    for _ in range(int(rng.integers(1, 5))):
        at = trunk[int(rng.integers(len(trunk) // 5, len(trunk) - 2))]
        turn = angle + rng.choice([-1, 1]) * rng.uniform(0.4, 1.0)
        branch = wandering_line(rng, (at[0], at[1]), turn, shape.size_px * rng.uniform(0.12, 0.35), 0.3)
        gap = np.maximum(gap, stroke(size, branch, width * 0.55))
    rim = np.clip(shifted(gap, (-LIGHT[0] * width, -LIGHT[1] * width)) - gap, 0, 1)
    depth = 0.5 + 0.4 * shape.strength
    changed = patch * (1 - depth * gap)[..., None] + (rim * (12 + 30 * shape.strength))[..., None]
    return changed, np.maximum(gap, rim * 0.7)


def _dent(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A smooth bowl: dark on the wall near the lamp, light on the far one, what lay there a little smeared."""
    height, width = patch.shape[:2]
    radius = shape.size_px / 2
    y, x = np.mgrid[:height, :width].astype(np.float32)
    turn, ratio = rng.uniform(0, math.pi), rng.uniform(0.65, 1)
    dx, dy = x - width / 2, y - height / 2
    along = (dx * math.cos(turn) + dy * math.sin(turn)) / radius
    cross = (dy * math.cos(turn) - dx * math.sin(turn)) / (radius * ratio)
    distance = np.sqrt(along**2 + cross**2) * (1 + 0.07 * fractal_noise(rng, (height, width), radius, 2))
    bowl = -radius * np.clip(1 - distance**2, 0, 1) ** 1.5
    slope = np.asarray(shade(bowl.astype(np.float32)), np.float32)
    smeared = cv2.GaussianBlur(patch, (0, 0), 1.2)
    light = 1 + (0.10 + 0.26 * shape.strength) * np.clip(slope, -1.4, 1.4)
    inner = (distance < 1).astype(np.float32)
    glint = (np.clip(slope - 0.9, 0, 1) * 50 * shape.strength)[..., None]
    # The flat bottom belongs to the dent as much as its walls do, although it shades little.
    return np.asarray(smeared * light[..., None] + glint, np.float32), inner


def _hole(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """Missing material: darkness with a lit far wall and a bright burr at the edge."""
    size = patch.shape[:2]
    radius = shape.size_px / 2 * 0.85
    opening = blob(rng, size, (radius, radius * rng.uniform(0.7, 1)), 0.12)
    rim_px = 1.5 + 1.5 * shape.strength
    edge = np.clip(blurred(np.asarray(cv2.dilate(opening, np.ones((3, 3))), np.float32), rim_px) - opening, 0, 1)
    wall = opening * np.clip(1 - shifted(opening, (LIGHT[0] * rim_px * 2, LIGHT[1] * rim_px * 2)), 0, 1)
    darkness = 0.62 + 0.33 * shape.strength
    changed = patch * (1 - darkness * opening)[..., None] + (wall * 55 + edge * (20 + 50 * shape.strength))[..., None]
    return changed, np.maximum(opening, edge)


def _pits(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A field of small craters, as fatigue breaks them out of rolled steel: dark floors, some with a lit far wall."""
    size = patch.shape[:2]
    craters = np.zeros(size, np.float32)
    for crater in range(1 + int(rng.integers(0, 9))):
        radius = max(1.2, shape.size_px * (0.18 if crater == 0 else rng.uniform(0.03, 0.11)))
        offset = (0.0, 0.0) if crater == 0 else tuple(rng.normal(0, shape.size_px * 0.17, 2))
        craters = np.maximum(craters, shifted(blob(rng, size, (radius, radius * rng.uniform(0.5, 1)), 0.2), offset))
    depth_px = 1 + shape.size_px * 0.03
    wall = craters * np.clip(1 - shifted(craters, (LIGHT[0] * depth_px, LIGHT[1] * depth_px)), 0, 1)
    rough = 1 + 0.12 * fractal_noise(rng, size, 4, 2)
    darkness = (0.3 + 0.55 * shape.strength) * np.clip(rough, 0.6, 1.1)
    changed = patch * (1 - darkness * craters)[..., None] + (wall * (15 + 45 * shape.strength))[..., None]
    return np.asarray(changed, np.float32), craters


_STAINS_BGR = ((0.35, 0.55, 0.78), (0.62, 0.66, 0.70), (0.28, 0.42, 0.62), (0.80, 0.74, 0.66))  # rust, oil, tea, water


def _stain(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A film: multiplies the surface by its colour, cloudy inside and densest at its dried edge."""
    size, radius = patch.shape[:2], shape.size_px / 2 * 0.8
    area = blob(rng, size, (radius, radius * rng.uniform(0.5, 1)), 0.11)
    area = blurred(area, 1 + radius * 0.03)
    edge = np.clip(area - blurred(area, 2 + radius * 0.10), 0, 1)
    cloud = 0.75 + 0.18 * fractal_noise(rng, size, max(6.0, radius * 0.5), 4)
    density = np.clip(area * cloud + edge * 0.7, 0, 1.25) * (0.22 + 0.68 * shape.strength)
    tint = np.asarray(_STAINS_BGR[int(rng.integers(len(_STAINS_BGR)))], np.float32)
    return patch * (1 - density[..., None] * (1 - tint)), area


_PARTICLES_BGR = ((40, 44, 50), (60, 84, 122), (205, 210, 214), (150, 96, 44), (52, 58, 160))  # soot, wood, lint, ...


def _contamination(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """Foreign particles: opaque, rounded, with a highlight towards the lamp and a shadow away from it."""
    size, count = patch.shape[:2], 1 + int(rng.integers(0, 4))
    colour = np.asarray(_PARTICLES_BGR[int(rng.integers(len(_PARTICLES_BGR)))], np.float32)
    body = np.zeros(size, np.float32)
    for grain in range(count):
        radius = max(2.5, shape.size_px * (0.22 if grain == 0 else rng.uniform(0.05, 0.14)))
        spread = 0 if grain == 0 else shape.size_px * 0.3
        place = (rng.uniform(-1, 1) * spread, rng.uniform(-1, 1) * spread)
        body = np.maximum(body, shifted(blob(rng, size, (radius, radius * rng.uniform(0.5, 1)), 0.22), place))
    relief = blurred(body, max(1.0, shape.size_px * 0.05)) * shape.size_px * 0.25
    reach_px = 1.5 + shape.size_px * 0.06
    shadow = blurred(shifted(body, (-LIGHT[0] * reach_px, -LIGHT[1] * reach_px)), 1 + reach_px * 0.3)
    changed = patch * (1 - 0.55 * shadow * (1 - body))[..., None]
    texture = 1 + 0.12 * fractal_noise(rng, size, 5, 2) + 0.5 * np.clip(shade(relief), -1, 1.5)
    opacity = body * (0.6 + 0.4 * min(1.0, shape.strength * 2))
    blend(changed, opacity, np.clip(colour * texture[..., None], 0, 255).astype(np.float32))
    return changed, np.maximum(body, np.where(shadow > 0.25, shadow, 0))


def _tear(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A slit pulled open: dark inside, lips lit like folds, loose fibres standing across it."""
    angle, size = rng.uniform(0, math.pi), patch.shape[:2]
    width = max(3.0, shape.size_px * (0.04 + 0.10 * shape.strength))
    spine = wandering_line(rng, _start(patch, angle, shape.size_px * 0.9), angle, shape.size_px * 0.9, 0.10)
    frayed = spine + rng.normal(0, width * 0.12, spine.shape)
    slit = stroke(size, frayed, width)
    lips = np.clip(blurred(np.asarray(cv2.dilate(slit, np.ones((5, 5))), np.float32), 2.0) - slit, 0, 1)
    changed = (
        patch * (1 - (0.7 + 0.25 * shape.strength) * slit)[..., None] + (lips * (18 + 40 * shape.strength))[..., None]
    )
    reach = np.maximum(slit, lips)
    fibres = np.zeros(size, np.float32)
    for _ in range(int(shape.size_px / 7)):
        root = spine[int(rng.integers(1, len(spine) - 1))]
        side = angle + math.pi / 2 * rng.choice([-1, 1])
        start = (root[0] - math.cos(side) * width * 0.5, root[1] - math.sin(side) * width * 0.5)
        hair = wandering_line(rng, start, side + rng.normal(0, 0.4), width * rng.uniform(0.3, 1.0), 0.25)
        fibres = np.maximum(fibres, stroke(size, hair, 1.0))
    bright = np.clip(patch.mean(axis=(0, 1)) * 1.35 + 15, 0, 255)
    blend(changed, fibres * 0.75, bright)
    return changed, np.maximum(reach, fibres * 0.8)


def _loose_thread(rng: np.random.Generator, patch: FloatImage, shape: DefectShape) -> Painted:
    """A thread pulled out of the cloth: a lit loop lying on its own shadow."""
    angle, size = rng.uniform(0, 2 * math.pi), patch.shape[:2]
    loop = wandering_line(rng, _start(patch, angle, shape.size_px * 0.8), angle, shape.size_px * 1.0, 0.28)
    width = 1.8 + 2.2 * shape.strength
    thread = stroke(size, loop, width, taper=False)
    shadow = blurred(shifted(thread, (-LIGHT[0] * width, -LIGHT[1] * width * 1.2)), 1.2)
    changed = patch * (1 - 0.5 * shadow)[..., None]
    colour = np.clip(patch.mean(axis=(0, 1)) * (1.25 + 0.5 * shape.strength) + 12, 0, 245)
    ridge = 0.85 + 0.3 * np.clip(shade(blurred(thread, 0.8) * 4), -1, 1)
    blend(changed, thread * (0.7 + 0.3 * shape.strength), np.asarray(colour * ridge[..., None], np.float32))
    return changed, np.maximum(thread, np.where(shadow > 0.3, shadow, 0))


PAINTERS: dict[str, Painter] = {
    "scratch": _scratch,
    "crack": _crack,
    "dent": _dent,
    "hole": _hole,
    "pits": _pits,
    "stain": _stain,
    "contamination": _contamination,
    "tear": _tear,
    "loose thread": _loose_thread,
}
DEFECT_TYPES = tuple(PAINTERS)
