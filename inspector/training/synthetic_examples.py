"""Training material from good parts alone: every picture is a normal frame, half of them with painted defects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.domain.product import Vocabulary
from inspector.domain.text import shortened
from inspector.rendering.foreground import find_foreground
from inspector.rendering.synthetic import UNKNOWN_TYPE, add_defects, undrawable
from inspector.training.examples import TrainingExample, UnreadableExampleError
from inspector.vision.decode import DecodeLimits, decode
from inspector.vision.image_file import load_image, printable
from inspector.vision.opencv import cv2

Pixels = NDArray[np.uint8]

_SMALLEST_PX = 16
_PAINTING = 2  # goes up whenever the same seed paints other pictures, so that nothing cached is taken for them


@dataclass(frozen=True, slots=True)
class _Recipe:
    """All but the normals that the examples depend on."""

    types: tuple[str, ...]
    count: int
    seed: int
    image_size_px: int
    object_word: str
    defective: float

    def __post_init__(self) -> None:
        if not 1 <= len(set(self.types)) == len(self.types) < UNKNOWN_TYPE:
            raise BadInputError("1 to 254 different defect types", ", ".join(self.types) or "none", "correct the types")
        if self.count < 1 or not 0 <= self.defective <= 1 or self.image_size_px < _SMALLEST_PX or self.seed < 0:
            raise BadInputError(
                "one example or more of 16 px or more, a share of 0 to 1 defective, a seed of 0 or more",
                f"{self.count} of {self.image_size_px} px, {self.defective:g}, seed {self.seed}",
                "correct the number that is out of range",
            )


@dataclass(frozen=True, slots=True)
class _Normal:
    """A good frame: ``read`` gives it anew, uint8 [S, S, 3] RGB, and ``digest`` is the SHA-256 of what it gave."""

    name: str
    read: Callable[[], Pixels] = field(repr=False)
    digest: str


class SyntheticExamples:
    """An example source (see ``ExampleSource``). Example i depends on the constructor's arguments and i alone.

    Every normal is used before one is used again. Where a part lies free on its background, only the part is painted.
    """

    left_out: tuple[tuple[Path, str], ...]
    """Files that are no readable images, each with the reason."""
    undrawn_types: tuple[str, ...]
    """Words of the vocabulary that nothing is painted for: the renderer does not know what they look like."""

    def __init__(
        self,
        normals: Sequence[Path],
        types: Sequence[str],
        count: int,
        seed: int,
        image_size_px: int,
        object_word: str = "object",
        defective: float = 0.5,
        limits: DecodeLimits = DecodeLimits(),  # noqa: B008  # frozen
    ) -> None:
        """Take image files of good parts, squeezed as the serving path squeezes frames.

        Args:
            normals: files; those that cannot be read or decoded are left out, see ``left_out``.
            types: the vocabulary, 1 to 254 words.
            count: number of examples.
            seed: 0 or more.
            image_size_px: side S of the model's square, 16 or more.
            object_word: the vocabulary's word for the part.
            defective: share of the examples that show defects, 0..1.
            limits: of the files, as for frames.

        Raises:
            BadInputError: none of the files is a readable image, a type is there twice, or a number is out of range.
        """
        recipe = _Recipe(tuple(types), count, seed, image_size_px, object_word, defective)
        readable: list[_Normal] = []
        left_out: list[tuple[Path, str]] = []
        for path in normals:
            read = partial(_decode_file, path, image_size_px, limits)
            try:
                readable.append(_Normal(printable(path), read, _digest(read())))
            except (OSError, ValueError, FrameRejectedError) as error:
                left_out.append((path, shortened(str(error))))
        self._set_up(readable, tuple(left_out), recipe)

    @classmethod
    def from_frames(
        cls,
        frames: Sequence[Pixels],
        types: Sequence[str],
        count: int,
        seed: int,
        object_word: str = "object",
        defective: float = 0.5,
    ) -> SyntheticExamples:
        """Take decoded normal frames of a camera, uint8 [S, S, 3] RGB; otherwise as the constructor.

        Raises:
            BadInputError: there is none, one is not of the first one's shape, or as the constructor.
        """
        side = len(frames[0]) if len(frames) else _SMALLEST_PX
        for frame in frames:
            if frame.shape != (side, side, 3) or frame.dtype != np.uint8:
                raise BadInputError(
                    f"frames uint8 [{side}, {side}, 3]", f"{frame.dtype} {list(frame.shape)}", "decode them to one size"
                )
        source = cls.__new__(cls)
        normals = [_Normal(f"frame {i}", frame.copy, _digest(frame)) for i, frame in enumerate(frames)]
        source._set_up(normals, (), _Recipe(tuple(types), count, seed, side, object_word, defective))
        return source

    def _set_up(self, normals: list[_Normal], left_out: tuple[tuple[Path, str], ...], recipe: _Recipe) -> None:
        if not normals:
            reasons = "; ".join(f"{printable(path)}: {reason}" for path, reason in left_out[:3])
            raise BadInputError("at least one readable image of a good part", reasons or "none", "name other images")
        self._normals = normals
        self._recipe = recipe
        self._vocabulary = Vocabulary(recipe.types, recipe.object_word)
        self.left_out = left_out
        self.undrawn_types = undrawable(recipe.types)

    def __len__(self) -> int:
        return self._recipe.count

    def __getitem__(self, index: int) -> TrainingExample:
        """Return example ``index``.

        Raises:
            IndexError: not within 0..len - 1.
            UnreadableExampleError: an image file is gone or is not what it was at first.
        """
        recipe = self._recipe
        if not 0 <= index < recipe.count:
            raise IndexError(f"expected an index within 0..{recipe.count - 1}, got {index}")
        pixels = self._normal_of(index)
        # Spread evenly, so that any stretch of the examples has its share of defective ones.
        anomalous = int((index + 1) * recipe.defective) > int(index * recipe.defective)
        if not anomalous:
            return TrainingExample(pixels, np.zeros(pixels.shape[:2], np.uint8), False, self._vocabulary)
        bgr = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
        rng = np.random.default_rng([recipe.seed, 1, index])
        painted, type_mask = add_defects(rng, bgr, recipe.types, find_foreground(bgr))
        rgb = np.asarray(cv2.cvtColor(painted, cv2.COLOR_BGR2RGB), np.uint8)
        return TrainingExample(rgb, type_mask, True, self._vocabulary)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that the examples are made from."""
        digest = hashlib.sha256(f"synthetic {_PAINTING} {self._recipe!r}\n".encode())
        for normal in self._normals:
            digest.update(bytes.fromhex(normal.digest))
        return digest.hexdigest()

    def _normal_of(self, index: int) -> Pixels:
        turn, place = divmod(index, len(self._normals))
        order = np.random.default_rng([self._recipe.seed, 0, turn]).permutation(len(self._normals))
        normal = self._normals[int(order[place])]
        try:
            pixels = normal.read()
        except (OSError, ValueError, FrameRejectedError) as error:
            raise UnreadableExampleError(normal.name, shortened(str(error))) from error
        if _digest(pixels) != normal.digest:
            raise UnreadableExampleError(normal.name, "it is not the image that it was at first")
        return pixels


def _decode_file(path: Path, size_px: int, limits: DecodeLimits) -> Pixels:
    return decode(*load_image(path), limits, size_px).pixels


def _digest(pixels: Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
