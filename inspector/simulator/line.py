"""The virtual production line: pictures of parts as a camera would send them, with the truth on the side."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from inspector.domain.defect import Box
from inspector.domain.errors import BadInputError
from inspector.rendering.defects import DEFECT_TYPES, DefectShape, paint_defect
from inspector.rendering.surfaces import ByteImage
from inspector.simulator.camera import SensorNoise, encode_jpeg, expose, vibration
from inspector.simulator.catalogue import Product, product
from inspector.simulator.scene import FRAME_HEIGHT_PX, FRAME_WIDTH_PX, SCENE_SHAPE, Mark, Scene
from inspector.vision.opencv import cv2

_LOT_SIZE = 500


@dataclass(frozen=True, slots=True)
class TrueDefect:
    """One defect that was rendered: its type, the box around its mask, how many pixels it covers."""

    defect_type: str
    box: Box
    area_px: int


@dataclass(frozen=True, slots=True)
class Truth:
    """What is wrong with a frame. ``mask`` is uint8 [1024, 1280], 255 on any defect."""

    defects: tuple[TrueDefect, ...]
    mask: ByteImage = field(repr=False)


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """One picture of the line; ``truth`` is for the judge, never for the frame's record."""

    index: int
    jpeg: bytes = field(repr=False)
    part_id: str
    lot: str
    view: str
    truth: Truth = field(repr=False)


@dataclass(frozen=True)
class VirtualLine:
    """A line that makes frame ``index`` from (name, seed, index) alone: any frame, any time, the same bytes.

    ``defect_rate`` (0..1) of the parts carry one defect, some of them two; which ones does not depend on the other
    settings. With ``defect_rate`` 0 every frame is the normal twin of the one a higher rate gives.
    """

    product: Product
    seed: int = 0
    defect_rate: float = 0.1

    def frames(self, start: int = 0, step: int = 1) -> Iterator[SimulatedFrame]:
        """Yield frames ``start``, ``start`` + ``step``, ... without end."""
        return (self.frame(index) for index in itertools.count(start, step))

    def frame(self, index: int) -> SimulatedFrame:
        """Render frame ``index`` (0 or more)."""
        rng = self._rng("part", index)
        scene = self._scenes(int(rng.integers(self.product.scenes)))
        part_id = f"{scene.mark.prefix}-{index:06d}"
        still, stretch_y = _stretch(scene, rng)
        pixels = still.copy()
        _write_mark(pixels, scene.mark, part_id)
        movement = vibration(rng, index)
        defect_rng = self._rng("defect", index)
        if defect_rng.random() < self.defect_rate:
            surface = scene.surface[stretch_y : stretch_y + SCENE_SHAPE[0]]
            frame, truth = self._defective(defect_rng, scene, pixels, surface, movement)
        else:
            frame, truth = _view(pixels, movement), Truth((), np.zeros((FRAME_HEIGHT_PX, FRAME_WIDTH_PX), np.uint8))
        exposed = expose(rng, frame, index, self._noise)
        lot = f"{scene.mark.prefix}-LOT-{index // _LOT_SIZE + 1:04d}"
        return SimulatedFrame(index, encode_jpeg(exposed), part_id, lot, "top", truth)

    def _defective(
        self,
        rng: np.random.Generator,
        scene: Scene,
        pixels: ByteImage,
        surface: ByteImage,
        movement: NDArray[np.float64],
    ) -> tuple[ByteImage, Truth]:
        kinds = [str(k) for k in rng.choice(self.product.defect_types, 1 + int(rng.random() < 0.2), replace=False)]
        # Faults of built-in parts belong to the still picture; surface defects come on top of the view, so that their
        # masks need no resampling.
        built_in = [(k, _fit_fault(rng, scene, pixels, k, movement)) for k in kinds if k not in DEFECT_TYPES]
        frame, allowed = _view(pixels, movement), _view(surface, movement)
        painted = [(k, self._paint(rng, frame, allowed, k)) for k in kinds if k in DEFECT_TYPES]
        return frame, _truth(built_in + painted)

    def _paint(self, rng: np.random.Generator, frame: ByteImage, allowed: ByteImage, kind: str) -> ByteImage:
        low, high = self.product.sizes_px[kind]
        size = round(low * (high / low) ** rng.random())
        # A defect mostly off the surface would be hardly there: look for a place where its middle is on it.
        while True:
            x, y = int(rng.integers(20, FRAME_WIDTH_PX - 20)), int(rng.integers(20, FRAME_HEIGHT_PX - 20))
            if allowed[y, x]:
                break
        shape = DefectShape(size, float(rng.uniform(0.15, 1.0)))
        return paint_defect(rng, frame, kind, (x, y), shape, allowed)

    def _rng(self, purpose: str, index: int) -> np.random.Generator:
        # crc32, not hash(): Python's own differs from process to process.
        return np.random.default_rng([self.seed, zlib.crc32(f"{self.product.name}/{purpose}".encode()), index])

    def _scenes(self, number: int) -> Scene:
        if number not in self._scene_cache:
            scene = self.product.render(self._rng("layout", 0), self._rng("scene", number))
            self._scene_cache[number] = scene
        return self._scene_cache[number]

    @cached_property
    def _scene_cache(self) -> dict[int, Scene]:
        return {}

    @cached_property
    def _noise(self) -> SensorNoise:
        return SensorNoise(self._rng("noise", 0))


def line(name: str, seed: int = 0, defect_rate: float = 0.1) -> VirtualLine:
    """Return the virtual line ``name``.

    Raises:
        BadInputError: there is no such line, or ``defect_rate`` is not within 0..1.
    """
    if not 0 <= defect_rate <= 1:
        raise BadInputError("a defect rate within 0..1", str(defect_rate), "0.1 makes every tenth part defective")
    return VirtualLine(product(name), seed, defect_rate)


def _stretch(scene: Scene, rng: np.random.Generator) -> tuple[ByteImage, int]:
    top = int(rng.integers(scene.pixels.shape[0] - SCENE_SHAPE[0] + 1))
    return scene.pixels[top : top + SCENE_SHAPE[0]], top


def _view(still: ByteImage, movement: NDArray[np.float64]) -> ByteImage:
    size = (FRAME_WIDTH_PX, FRAME_HEIGHT_PX)
    return np.asarray(cv2.warpAffine(still, movement, size, flags=cv2.INTER_LINEAR), np.uint8)


def _write_mark(pixels: ByteImage, mark: Mark, text: str) -> None:
    x, y, w, h = mark.box
    ink = np.zeros((h, w), np.uint8)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 2)
    scale = min(0.9 * w / width, 0.62 * h / height)
    at = (round((w - width * scale) / 2), round((h + height * scale) / 2))
    cv2.putText(ink, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 2, cv2.LINE_AA)
    part = (ink.astype(np.float32) / 255 * mark.opacity)[..., None]
    patch = pixels[y : y + h, x : x + w]
    patch[:] = (patch * (1 - part) + np.asarray(mark.ink_bgr, np.float32) * part).astype(np.uint8)


def _fit_fault(
    rng: np.random.Generator, scene: Scene, pixels: ByteImage, kind: str, movement: NDArray[np.float64]
) -> ByteImage:
    candidates = [f for f in scene.faults if f.defect_type == kind]
    fault = candidates[int(rng.integers(len(candidates)))]
    h, w = fault.pixels.shape[:2]
    patch = pixels[fault.y : fault.y + h, fault.x : fault.x + w]
    # One mask for the whole fault: an equal pixel in the middle of a missing part is missing all the same.
    changed = (cv2.absdiff(patch, fault.pixels).max(axis=2) > 6).astype(np.uint8) * 255
    changed = cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    # Nothing outside the mask changes, not even by the few grey levels that were too few to count.
    patch[changed > 0] = fault.pixels[changed > 0]
    whole = np.zeros(SCENE_SHAPE, np.uint8)
    whole[fault.y : fault.y + h, fault.x : fault.x + w] = changed
    return np.where(_view(whole, movement) > 0, 255, 0).astype(np.uint8)


def _truth(masks: list[tuple[str, ByteImage]]) -> Truth:
    defects = tuple(
        TrueDefect(kind, Box(*(int(v) for v in cv2.boundingRect(mask))), int(cv2.countNonZero(mask)))
        for kind, mask in masks
        if mask.any()
    )
    total = np.zeros((FRAME_HEIGHT_PX, FRAME_WIDTH_PX), np.uint8)
    for _, mask in masks:
        total |= mask
    return Truth(defects, total)
