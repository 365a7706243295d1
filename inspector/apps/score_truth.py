"""Scores against a ground truth, where the images have one: image and pixel AUROC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.domain.errors import BadInputError
from inspector.evaluation.metrics import Metric, PixelAuroc, image_auroc
from inspector.evaluation.truth import GOOD, ImageTruth, truth_of
from inspector.vision.image_file import printable
from inspector.vision.opencv import cv2

# Pixels are compared at the frame's own size, but no larger than this: memory stays bounded for any frame.
_MAX_SIDE_PX = 1024


class TruthMeter:
    """Collects raw scores and maps of images with a known truth; others are counted only.

    ``folder`` holds masks as ``TYPE/STEM_mask.png`` or ``TYPE/STEM.png``; None looks beside each image's own folder
    (MVTec AD's layout). Images of a ``train`` folder have no part in it: a reference scores its own images well.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._scores: list[float] = []
        self._anomalous: list[bool] = []
        self._pixels = PixelAuroc()
        self.without_mask = 0

    def truth(self, image: Path) -> ImageTruth | None:
        """Return what is known of an image, None if nothing."""
        folder = image.absolute().parent
        if folder.parent.name == "train":
            return None
        if self._folder is None:
            return truth_of(image)
        if folder.name == GOOD:
            return ImageTruth(image, GOOD, None)
        drawn = self._folder / folder.name
        masks = (drawn / f"{image.stem}_mask.png", drawn / f"{image.stem}.png")
        found = next((mask for mask in masks if mask.is_file()), None)
        known = found is not None or drawn.is_dir() or folder.parent.name == "test"
        return ImageTruth(image, folder.name, found) if known else None

    def add(
        self, truth: ImageTruth, image_score: float, raw_map: NDArray[np.float32], size_px: tuple[int, int]
    ) -> None:
        """Count one image: raw scores of any range, ``raw_map`` [S, S] of a frame of (width, height) ``size_px``.

        Raises:
            BadInputError: its mask is no image.
        """
        self._scores.append(image_score)
        self._anomalous.append(truth.anomalous)
        if not truth.has_pixel_truth:
            self.without_mask += 1
            return
        shrink = max(1.0, max(size_px) / _MAX_SIDE_PX)
        size = (max(1, round(size_px[0] / shrink)), max(1, round(size_px[1] / shrink)))
        self._pixels.add(cv2.resize(_to_unit(raw_map), size), _mask(truth.mask, size))

    @property
    def images(self) -> int:
        """How many images have a truth."""
        return len(self._scores)

    def result(self) -> tuple[Metric, Metric]:
        """Return image and pixel AUROC."""
        return image_auroc(np.array(self._scores), np.array(self._anomalous, bool)), self._pixels.result()


def _to_unit(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    # AUROC asks for the order only. x / (1 + |x|) keeps it for scores of any range, where a steep calibrated map
    # would send many of them to exactly 0 or 1.
    squashed: NDArray[np.float32] = (0.5 + 0.5 * raw / (1 + np.abs(raw))).astype(np.float32)
    return squashed


def _mask(path: Path | None, size: tuple[int, int]) -> NDArray[np.uint8]:
    width, height = size
    if path is None:
        return np.zeros((height, width), np.uint8)
    mask = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise BadInputError("a mask as PNG", f"no readable image in {printable(path)}", "mend or remove the file")
    # Threshold after resizing: a thin defect keeps every pixel it covers by half or more.
    resized = cv2.resize((mask > 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return (resized >= 0.5).astype(np.uint8)
