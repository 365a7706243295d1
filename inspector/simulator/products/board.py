"""A printed circuit board: copper under green solder mask, tinned pads, white print, components with shadows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.domain.defect import Box
from inspector.rendering.surfaces import (
    LIGHT,
    ByteImage,
    FloatImage,
    blend,
    box_distance,
    fractal_noise,
    inside,
    shade,
    to_bytes,
    value_noise,
)
from inspector.simulator.products.board_parts import SCALE, Component, Sprite, draw, pad_mask
from inspector.simulator.scene import MIDDLE, SCENE_SHAPE, Mark, PartFault, Scene, pixel_grid
from inspector.vision.opencv import cv2

_HALF_SIZE = (600.0, 478.0)
_CORNERS = ((-555, -433), (555, -433), (-555, 433), (555, 433))
_FAULT_KINDS = ("resistor", "capacitor", "diode", "small ic", "can", "crystal")


def board_scene(layout_rng: np.random.Generator, rng: np.random.Generator) -> Scene:
    """Render one board: ``layout_rng`` fixes what all boards share, ``rng`` what is this one's own."""
    components = _layout()
    x, y = pixel_grid(SCENE_SHAPE, MIDDLE)
    image = _fixture(rng)
    edge = box_distance(x, y, _HALF_SIZE, 16)
    image *= (1 - 0.6 * inside(box_distance(x + LIGHT[0] * 9, y + LIGHT[1] * 9, _HALF_SIZE, 16), 7))[..., None]
    blend(image, inside(edge), _laminate(layout_rng, rng, components))
    image += (inside(np.abs(edge + 2) - 1.2) * 26)[..., None]
    surface = edge < -8
    for cx, cy in _CORNERS:
        distance = np.hypot(x - cx, y - cy)
        blend(image, inside(distance - 30), (104, 170, 190))
        blend(image, inside(distance - 20), (30, 28, 27))
        surface &= distance > 34
    faults: list[PartFault] = []
    bare = image.copy()
    for component in components:
        sprite = draw(component, float(rng.normal(0, 3)))
        rows, columns = _window(component, sprite)
        _stamp(image[rows, columns], sprite.moved(float(rng.normal(0, 0.5)), _small_shift(rng, 0.6)))
        if component.kind in _FAULT_KINDS:
            faults += _faults(rng, bare[rows, columns], (columns.start, rows.start), sprite)
    mark = Mark(Box(800, 952, 230, 44), (38, 40, 42), 0.85, "PCB")
    _label(image, mark.box)
    return Scene(_lens(image), surface.astype(np.uint8) * 255, mark, tuple(faults))


def _fixture(rng: np.random.Generator) -> FloatImage:
    noise = value_noise(rng, SCENE_SHAPE, (1.5, 60)) * 2.5 + value_noise(rng, SCENE_SHAPE, (300, 300)) * 3
    return np.asarray(np.clip(noise[..., None] + np.array([62, 60, 58], np.float32), 0, 255), np.float32)


def _layout() -> tuple[Component, ...]:
    parts = [
        Component("processor", -40, -60, "VX4100"),
        Component("header", -540, -40, "J1"),
        Component("crystal", -250, -150, "16.00"),
        Component("can", 300, -370, "220"),
        Component("can", 410, -370, "220"),
        Component("can", 520, -270, "47"),
        Component("small ic", -340, 190, "L3524"),
        Component("small ic", -180, 240, "L3524"),
        Component("small ic", 330, 120, "OP27B"),
        Component("small ic", 480, 120, "OP27B"),
        Component("small ic", 300, -180, "EE64"),
    ]
    parts += [Component("resistor", -400 + 70 * k, -370, "103") for k in range(7)]
    parts += [Component("capacitor", -400 + 70 * k, -310, "") for k in range(7)]
    parts += [Component("capacitor", -250 + 60 * k, 95, "", lying=True) for k in range(6)]
    parts += [Component("resistor", -420, -220 + 55 * k, "472") for k in range(5)]
    parts += [Component("resistor", 150 + 76 * k, 330, "220") for k in range(5)]
    parts += [Component("diode", 150 + 76 * k, 270, "A7") for k in range(5)]
    parts += [Component("capacitor", 500, -90 + 50 * k, "") for k in range(3)]
    parts += [Component("resistor", -420 + 74 * k, 370, "151") for k in range(6)]
    return tuple(parts)


def _laminate(
    layout_rng: np.random.Generator, rng: np.random.Generator, components: tuple[Component, ...]
) -> FloatImage:
    tracks, vias = _copper(layout_rng, components)
    pads = pad_mask(SCENE_SHAPE, components)
    wide_pads = cv2.dilate(pads, np.ones((13, 13), np.uint8))
    clearance = cv2.dilate(cv2.max(tracks, pads), np.ones((15, 15), np.uint8))
    copper = _shrunk(cv2.max(tracks, 255 - clearance))
    relief = np.asarray(cv2.GaussianBlur(copper, (0, 0), 1.0), np.float32) * 2.2
    weave = value_noise(rng, SCENE_SHAPE, (3, 3)) * 1.4 + fractal_noise(rng, SCENE_SHAPE, 160, 3) * 1.6
    tone = np.array([44, 74, 22], np.float32) + copper[..., None] * np.array([18, 34, 10], np.float32)
    tone = tone * (1 + 0.28 * np.clip(shade(relief), -1, 1))[..., None] + weave[..., None]
    image = np.asarray(tone, np.float32)
    blend(image, _shrunk(cv2.subtract(wide_pads, pads)) * 0.7, (44, 86, 70))
    solder = 176 + 16 * value_noise(rng, SCENE_SHAPE, (7, 7))
    domed = np.asarray(cv2.GaussianBlur(_shrunk(pads), (0, 0), 2), np.float32) * 6
    solder = solder * (1 + 0.3 * np.clip(shade(domed), -1, 1))
    blend(image, _shrunk(pads), np.asarray(solder[..., None] * [0.98, 1, 1], np.float32))
    for vx, vy in vias:
        cv2.circle(image, (vx, vy), 6, (88, 158, 170), -1, cv2.LINE_AA)
        cv2.circle(image, (vx, vy), 3, (24, 30, 22), -1, cv2.LINE_AA)
    blend(image, _shrunk(_print(components)) * 0.88, (214, 222, 220))
    return image


def _copper(
    layout_rng: np.random.Generator, components: tuple[Component, ...]
) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
    """Bundles of parallel tracks from component to component, with one 45-degree bend, a via at each end."""
    mask = np.zeros((SCENE_SHAPE[0] * SCALE, SCENE_SHAPE[1] * SCALE), np.uint8)
    vias: list[tuple[int, int]] = []
    middle = np.array([SCENE_SHAPE[1] / 2, SCENE_SHAPE[0] / 2])
    for component in components:
        # Nearest neighbours mostly talk to each other, and the processor to everybody.
        other = components[0] if layout_rng.random() < 0.5 else components[int(layout_rng.integers(len(components)))]
        start = np.array([component.x, component.y]) + layout_rng.integers(-30, 31, 2)
        end = np.array([other.x, other.y]) + layout_rng.integers(-90, 91, 2)
        leg = end - start
        diagonal = np.sign(leg) * np.abs(leg).min()
        bend = end - diagonal
        for k in range(int(layout_rng.integers(1, 7))):
            offset = np.array([k * 11, k * 11]) if abs(leg[0]) > abs(leg[1]) else np.array([k * 11, -k * 11])
            ends = [start + offset, bend + offset, end + offset]
            corners = np.clip(np.stack(ends), [-560, -440], [560, 440]) + middle
            cv2.polylines(mask, [np.round(corners * SCALE).astype(np.int32)], False, 255, 4 * SCALE)
            vias += [(round(float(p[0])), round(float(p[1]))) for p in (corners[0], corners[2])]
    return mask, vias


def _print(components: tuple[Component, ...]) -> NDArray[np.uint8]:
    """White print: an outline and a reference beside every component."""
    mask = np.zeros((SCENE_SHAPE[0] * SCALE, SCENE_SHAPE[1] * SCALE), np.uint8)
    halves = {"processor": (132, 132), "header": (38, 158), "can": (58, 50), "small ic": (60, 54), "crystal": (52, 28)}
    for number, component in enumerate(components):
        half_x, half_y = halves.get(component.kind, (32, 17))
        if component.lying:
            half_x, half_y = half_y, half_x
        x, y = component.x + SCENE_SHAPE[1] / 2, component.y + SCENE_SHAPE[0] / 2
        corner = (round((x - half_x) * SCALE), round((y - half_y) * SCALE))
        far = (round((x + half_x) * SCALE), round((y + half_y) * SCALE))
        cv2.rectangle(mask, corner, far, 255, 2)
        name = f"{component.kind[0].upper()}{number}"
        cv2.putText(mask, name, (corner[0], corner[1] - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 1, cv2.LINE_AA)
    title = (round((SCENE_SHAPE[1] / 2 - 380) * SCALE), round((SCENE_SHAPE[0] / 2 + 446) * SCALE))
    cv2.putText(mask, "MOTOR CONTROL  REV C", title, cv2.FONT_HERSHEY_SIMPLEX, 1.7, 255, 3, cv2.LINE_AA)
    return mask


def _shrunk(mask: NDArray[Any]) -> FloatImage:
    small = cv2.resize(mask, (SCENE_SHAPE[1], SCENE_SHAPE[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def _window(component: Component, sprite: Sprite) -> tuple[slice, slice]:
    h, w = sprite.coverage.shape
    left = round(component.x + SCENE_SHAPE[1] / 2 - w / 2)
    top = round(component.y + SCENE_SHAPE[0] / 2 - h / 2)
    return slice(top, top + h), slice(left, left + w)


def _small_shift(rng: np.random.Generator, deviation_px: float) -> tuple[float, float]:
    return float(rng.normal(0, deviation_px)), float(rng.normal(0, deviation_px))


def _stamp(patch: FloatImage, sprite: Sprite) -> None:
    h, w = sprite.coverage.shape
    move = np.array([[1, 0, -LIGHT[0] * 5], [0, 1, -LIGHT[1] * 5]])
    shadow = cv2.GaussianBlur(cv2.warpAffine(sprite.coverage, move, (w, h)), (0, 0), 2.5)
    patch *= (1 - 0.5 * shadow)[..., None]
    blend(patch, sprite.coverage, sprite.colours)


def _faults(
    rng: np.random.Generator, bare: FloatImage, corner: tuple[int, int], sprite: Sprite
) -> tuple[PartFault, PartFault]:
    """The component left out, and the component standing askew on its pads."""
    askew = bare.copy()
    _stamp(askew, sprite.moved(float(rng.choice([-1, 1]) * rng.uniform(9, 28)), _small_shift(rng, 4)))
    return PartFault("missing part", *corner, _lens(bare)), PartFault("misaligned part", *corner, _lens(askew))


def _lens(image: FloatImage) -> ByteImage:
    return to_bytes(np.asarray(cv2.GaussianBlur(image, (0, 0), 0.7), np.float32))


def _label(image: FloatImage, box: Box) -> None:
    """The white sticker the serial number is printed on."""
    image[box.y - 3 : box.y + box.h + 5, box.x - 5 : box.x + box.w + 7] *= 0.6
    image[box.y - 6 : box.y + box.h + 2, box.x - 8 : box.x + box.w + 4] = (212, 218, 218)
