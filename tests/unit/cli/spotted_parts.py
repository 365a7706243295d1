"""A small labelled data set: grey plates, some with a bright spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIDE = 96
SPOTS = 4


def write(path: Path, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", pixels)
    assert done
    path.write_bytes(data.tobytes())


def part(seed: int, corner: tuple[int, int] | None = None) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A grey plate with some noise, and a bright square where it is marked."""
    pixels = np.random.default_rng(seed).normal(90, 4, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    if corner is not None:
        pixels[corner[1] : corner[1] + 24, corner[0] : corner[0] + 24] = (30, 240, 250)
    return pixels


def dataset(root: Path, defect: str = "spot", normals: int = 14) -> Path:
    for number in range(normals):
        write(root / "train" / "good" / f"{number:03}.png", part(number))
    for number in range(SPOTS):
        write(root / "test" / "good" / f"{number:03}.png", part(100 + number))
        corner = (5 + 15 * number, 30)
        write(root / "test" / defect / f"{number:03}.png", part(200 + number, corner))
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[corner[1] : corner[1] + 24, corner[0] : corner[0] + 24] = 255
        write(root / "ground_truth" / defect / f"{number:03}_mask.png", mask)
    return root
