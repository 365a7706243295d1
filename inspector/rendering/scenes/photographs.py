"""Photographs of real surfaces as ground for rendered defects, from any folder of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.rendering.scenes.surface import Surface, choose
from inspector.rendering.surfaces import ByteImage, FloatImage
from inspector.vision.decode import DecodeLimits, decode
from inspector.vision.image_file import list_images, load_image, printable
from inspector.vision.opencv import cv2

LOOK_DEFECTIVE = (
    "*PaintedMetal*", "*Rust*", "*rust*", "*CorrugatedSteel007B*", "*Plastic001*", "*asphalt_02*", "*broken*",
    "*cracked*", "*cracks*", "*worn*", "*damaged*",
)  # fmt: skip
"""Names of photographs that show marks which look like defects: taught as flawless, they would unteach these."""

_LONGEST_PX = 512  # of a photograph in memory
_NO_WORDS = {"ambient", "poly", "haven", "img", "dsc", "image", "photo", "copy", "picture", "col", "color", "diff"}
_SOFT = re.compile(r"fabric|carpet|leather|paper|cloth|textile|snow|mud|sand|ground", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Photograph:
    name: str
    pixels: ByteImage
    half: ByteImage  # the same at half the size, for pieces that are shrunk: averaging a large one each time is slow


class Photographs:
    """Photographs of flawless surfaces, decoded once to at most 512 px (about 1 MB each)."""

    def __init__(self, photographs: Sequence[_Photograph]) -> None:
        self._photographs = tuple(photographs)

    @classmethod
    def load(cls, folder: Path, exclude: Sequence[str] = LOOK_DEFECTIVE) -> Photographs:
        """Read the photographs below ``folder`` whose names match none of the patterns in ``exclude``.

        Raises:
            BadInputError: no photograph is there or left, or one cannot be read.
        """
        files = [f for f in list_images(folder) if not any(fnmatch(f.stem, pattern) for pattern in exclude)]
        if not files:
            raise BadInputError(
                "a folder of photographs",
                f"no image in {printable(folder)} that the excluded names leave",
                "name another folder, or go on without photographs",
            )
        return cls([_photograph(file) for file in files])

    def __len__(self) -> int:
        return len(self._photographs)

    @property
    def names(self) -> tuple[str, ...]:
        """File names without their suffixes, sorted by path."""
        return tuple(photograph.name for photograph in self._photographs)

    def split(self, held_out: float, seed: int = 0) -> tuple[Photographs, Photographs]:
        """Return (for training, held out); a name's hash decides, so that added files move no other.

        Raises:
            BadInputError: there are too few photographs for both parts.
        """
        kept = [p for p in self._photographs if _share(p.name, seed) >= held_out]
        out = [p for p in self._photographs if _share(p.name, seed) < held_out]
        if not kept or not out:
            raise BadInputError(f"enough photographs to hold {held_out:.0%} out", f"{len(self)}", "add photographs")
        return Photographs(kept), Photographs(out)

    def surface(self, rng: np.random.Generator, unit: float) -> Surface:
        """Return one photograph as a surface: a scale, a turn by quarters, a mild recolouring, any place of it."""
        photograph = self._photographs[int(rng.integers(len(self._photographs)))]
        quarters, mirror = int(rng.integers(4)), int(rng.choice([-1, 1]))
        zoom = float(np.exp(rng.uniform(np.log(0.9), np.log(2.6)))) / unit
        recolour = _recolouring(rng)

        def draw(rng: np.random.Generator, side: int) -> FloatImage:
            shrunk = zoom > 1.6
            pixels = photograph.half if shrunk else photograph.pixels
            cut = min(*pixels.shape[:2], max(16, round(side * zoom / (2 if shrunk else 1))))
            top, left = (int(rng.integers(pixels.shape[axis] - cut + 1)) for axis in (0, 1))
            turned = np.ascontiguousarray(np.rot90(pixels[top : top + cut, left : left + cut], quarters)[::mirror])
            piece = cv2.resize(turned, (side, side), interpolation=cv2.INTER_LINEAR)
            return np.asarray(cv2.transform(piece.astype(np.float32), recolour), np.float32)

        return Surface(surface_words(photograph.name), "soft" if _SOFT.search(photograph.name) else "hard", draw)


def surface_words(name: str) -> tuple[str, ...]:
    """Return what a photograph's file name says it shows: "096_ambientCG_WoodFloor004" is "wood floor"."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word.lower() for word in re.findall(r"[A-Za-z]{3,}", parted)]
    kept = [word for word in words if word not in _NO_WORDS]
    if not kept:
        return ("a surface", "a material")
    whole = " ".join(kept)
    return whole, whole, f"a surface of {whole}"


def _recolouring(rng: np.random.Generator) -> FloatImage:
    """Return a 3 x 4 colour matrix: saturation, gain and offset near what they were."""
    grey = np.array([[0.114, 0.587, 0.299]] * 3)
    saturation = choose(rng, *(rng.uniform(0.5, 1.2) for _ in range(6)), 0.0)
    gains = np.diag((1 + rng.normal(0, 0.06, 3)) * rng.uniform(0.75, 1.25))
    matrix = gains @ (np.eye(3) * saturation + grey * (1 - saturation))
    return np.hstack([matrix, np.full((3, 1), rng.uniform(-15, 15))]).astype(np.float32)


def _share(name: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _photograph(file: Path) -> _Photograph:
    try:
        decoded = decode(*load_image(file), DecodeLimits(), _LONGEST_PX)
    except (OSError, ValueError, FrameRejectedError) as error:
        raise BadInputError(
            "a photograph", f"{printable(file)}: {error}", "remove the file or exclude its name"
        ) from error
    # Decoded as a square, as models take it; a photograph keeps its proportions.
    scale = _LONGEST_PX / max(decoded.width_px, decoded.height_px)
    size = [max(16, round(length * scale)) for length in (decoded.width_px, decoded.height_px)]
    upright = cv2.resize(decoded.pixels, size, interpolation=cv2.INTER_AREA)
    pixels = np.asarray(cv2.cvtColor(upright, cv2.COLOR_RGB2BGR), np.uint8)
    half = cv2.resize(pixels, [max(8, length // 2) for length in size], interpolation=cv2.INTER_AREA)
    return _Photograph(file.stem, pixels, np.asarray(half, np.uint8))
