"""A scene: which surface, lying how, with which marks; and views of it from a camera that may have been moved."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from inspector.rendering.scenes import artwork, cellular, grained, laid, woven
from inspector.rendering.scenes.captions import piece_of
from inspector.rendering.scenes.marks import Marks, marks
from inspector.rendering.scenes.objects import Arrangement, arrangement, lay
from inspector.rendering.scenes.photographs import Photographs
from inspector.rendering.scenes.surface import Family, Surface, as_bytes, pick
from inspector.rendering.surfaces import ByteImage, FloatImage
from inspector.vision.opencv import cv2

FAMILIES: tuple[Family, ...] = (
    grained.cast, grained.plain, grained.brushed, grained.wood, grained.turned, grained.ribbed, grained.cloudy,
    cellular.leather, cellular.mosaic, cellular.granules, cellular.crumb, cellular.dead_leaves,
    woven.weave, woven.knit, woven.threads, woven.mesh, woven.perforated,
    laid.tiles, laid.motif_print, laid.text_print, laid.assembled, laid.tread,
)  # fmt: skip
"""Rendered surfaces beside ``artwork.conductors``, which come more often than any of them."""

ARTWORK_SHARE = 0.12
"""How often a scene is line artwork, where nobody asks for more."""

_PHOTOGRAPH_SHARE = 0.57  # of the rest, which makes half of all
_OBJECT_SHARE = 0.45  # of the rest, which makes four in ten of all
_MARK_SHARE = 0.55  # likewise, half of all
_MARGIN = 0.14  # of the canvas around the frame, so that the camera can be moved without seeing past the edge
_LEAST_CONTRAST = 30.0  # grey levels between a piece and what it lies on


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the camera stands: turned (radians), nearer by ``zoom``, moved (shares of the frame), tilted."""

    turn: float
    zoom: float
    move: tuple[float, float]
    tilt: tuple[float, float]


@dataclass(frozen=True, slots=True)
class View:
    """``image`` uint8 BGR [S, S, 3] without defects; ``foreground`` uint8 [S, S], 255 on pieces, None if all is."""

    image: ByteImage
    foreground: ByteImage | None
    pose: Pose


@dataclass(frozen=True, slots=True)
class Scene:
    """What all views share. ``phrase`` names it, with an article where it needs one."""

    phrase: str
    surface: Surface
    background: Surface | None
    background_gain: float
    pieces: Arrangement | None
    marks: Marks | None
    marks_over_all: bool  # whether marks lie on the whole picture (light does) or on the surface (print does)
    turn: float

    def view(self, rng: np.random.Generator, size_px: int, place: int, near: Pose | None) -> View:
        """Return a view of the place with the number ``place``, from ``near`` or from anywhere."""
        reach = abs(math.cos(self.turn)) + abs(math.sin(self.turn)) + _MARGIN
        side = math.ceil(size_px * reach)
        pose = _pose(rng, self) if near is None else _nudged(rng, near)
        # At the same place the layout is the same, but the next part is another individual: half of the time its
        # texture and its marks are not those of the first.
        layout, grain = np.random.default_rng(place), np.random.default_rng([place, 1])
        if near is not None and rng.random() < 0.5:
            grain = rng
        surface = self.surface.draw(layout if self.surface.laid_out else grain, side)
        if self.marks is not None and not self.marks_over_all:
            surface = self._marked(grain, surface)
        foreground = None
        if self.pieces is not None and self.background is not None:
            background = self.background.draw(grain, side) * np.float32(self.background_gain)
            surface, foreground = lay(layout, self.pieces, background, surface)
        if self.marks is not None and self.marks_over_all:
            surface = self._marked(grain, surface)
        matrix = _matrix(pose, side, size_px)
        frame = (size_px, size_px)
        image = cv2.warpPerspective(as_bytes(surface), matrix, frame, borderMode=cv2.BORDER_REFLECT_101)
        if foreground is not None:
            foreground = np.asarray(cv2.warpPerspective(foreground, matrix, frame, flags=cv2.INTER_NEAREST), np.uint8)
        return View(np.asarray(image, np.uint8), foreground, pose)

    def _marked(self, rng: np.random.Generator, surface: FloatImage) -> FloatImage:
        image = as_bytes(surface)
        if self.marks is not None:
            self.marks(rng, image)
        return image.astype(np.float32)


def draw_scene(
    rng: np.random.Generator, unit: float, photographs: Photographs | None, artwork_share: float = ARTWORK_SHARE
) -> Scene:
    """Draw the parameters of a scene; lengths are multiplied by ``unit`` (pixels of the frame / 192)."""
    if rng.random() < artwork_share:
        surface = artwork.conductors(rng, unit)
        turn = 0.0 if rng.random() < 0.8 else rng.uniform(0, 2 * math.pi)
        return Scene(pick(rng, surface.words), surface, None, 1.0, None, None, False, turn)
    surface = _any_surface(rng, unit, photographs)
    ground = _mean_colour(surface)
    drawn, over_all = marks(rng, unit, ground) if rng.random() < _MARK_SHARE else (None, False)
    phrase = pick(rng, surface.words)
    if rng.random() >= _OBJECT_SHARE:
        turn = 0.0 if rng.random() < 0.65 else rng.uniform(0, 2 * math.pi)
        return Scene(phrase, surface, None, 1.0, None, drawn, over_all, turn)
    background = grained.plain(rng, unit) if rng.random() < 0.5 else _any_surface(rng, unit, photographs)
    pieces = arrangement(rng)
    material = pick(rng, [word for word in surface.words if "surface" not in word] or surface.words)
    phrase = piece_of(rng, pick(rng, pieces.words), pieces.rows * pieces.columns > 1, material)
    gain = _set_off(float(ground.mean()), float(_mean_colour(background).mean()))
    return Scene(phrase, surface, background, gain, pieces, drawn, over_all, 0.0)


def _any_surface(rng: np.random.Generator, unit: float, photographs: Photographs | None) -> Surface:
    if photographs is not None and rng.random() < _PHOTOGRAPH_SHARE:
        return photographs.surface(rng, unit)
    return FAMILIES[int(rng.integers(len(FAMILIES)))](rng, unit)


def _mean_colour(surface: Surface) -> FloatImage:
    return np.asarray(surface.draw(np.random.default_rng(0), 48).mean(axis=(0, 1)), np.float32)


def _set_off(piece: float, background: float) -> float:
    """Return by which factor ``background`` (a mean grey level) is changed so that ``piece`` stands out from it."""
    if abs(piece - background) >= _LEAST_CONTRAST:
        return 1.0
    target = piece - 2 * _LEAST_CONTRAST if piece > 110 else piece + 2 * _LEAST_CONTRAST
    return target / max(1.0, background)


def _pose(rng: np.random.Generator, scene: Scene) -> Pose:
    flat = scene.surface.binary
    spread = 0.0 if flat else 0.06
    tilt = rng.normal(0, 0.05, 2) * (not flat and rng.random() < 0.4)
    return Pose(
        scene.turn + rng.uniform(-spread, spread),
        rng.uniform(0.99, 1.12),
        (float(rng.uniform(-0.03, 0.03)), float(rng.uniform(-0.03, 0.03))),
        (float(tilt[0]), float(tilt[1])),
    )


def _nudged(rng: np.random.Generator, pose: Pose) -> Pose:
    """Return where a fixed camera finds the next part: moved and turned by a little."""
    move = (pose.move[0] + float(rng.normal(0, 0.008)), pose.move[1] + float(rng.normal(0, 0.008)))
    return replace(pose, turn=pose.turn + float(rng.normal(0, 0.006)), move=move)


def _matrix(pose: Pose, side: int, size_px: int) -> FloatImage:
    """Return the 3 x 3 matrix from canvas to frame (pixels)."""
    cos, sin = math.cos(pose.turn) * pose.zoom, math.sin(pose.turn) * pose.zoom
    middle = np.array([[1, 0, -side / 2], [0, 1, -side / 2], [0, 0, 1]])
    tilted = np.array([[cos, -sin, 0], [sin, cos, 0], [pose.tilt[0] / size_px, pose.tilt[1] / size_px, 1]])
    half = size_px / 2
    back = np.array([[1, 0, half + pose.move[0] * size_px], [0, 1, half + pose.move[1] * size_px], [0, 0, 1]])
    return np.asarray(back @ tilted @ middle, np.float32)
