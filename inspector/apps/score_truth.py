"""Scores against a ground truth, where the images have one: image and pixel AUROC."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspector.datasets.layouts.mvtec import sample_at
from inspector.datasets.reading import read_mask
from inspector.datasets.sample import Sample
from inspector.evaluation.metrics import Metric
from inspector.evaluation.pixel_scores import PixelScores
from inspector.evaluation.ranking import rank_images
from inspector.vision.opencv import cv2

# Pixels are compared at the frame's own size, but no larger than this: memory stays bounded for any frame.
_MAX_SIDE_PX = 1024
# 64 MB; more pixels are counted in bins.
_EXACT_PIXELS = 2**24


@dataclass(frozen=True, slots=True)
class Alarms:
    """What the thresholds in use did: ``found`` of the ``defective`` images, and ``false_alarms`` of the ``good``."""

    found: int
    defective: int
    false_alarms: int
    good: int


class TruthMeter:
    """Collects raw scores and maps of images with a known truth; others are counted only.

    ``folder`` holds masks as ``TYPE/STEM_mask.png`` or ``TYPE/STEM.png``; None looks beside each image's own folder
    (MVTec AD's layout). Images of a ``train`` folder have no part in it: a reference scores its own images well.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._scores: list[float] = []
        self._anomalous: list[bool] = []
        self._alarmed: list[bool] = []
        self._pixels = PixelScores(_EXACT_PIXELS)
        self.without_mask = 0

    def truth(self, image: Path) -> Sample | None:
        """Return what is known of an image, None if nothing."""
        sample = sample_at(image, self._folder)
        return None if sample is None or sample.split == "train" else sample

    def add(
        self,
        truth: Sample,
        alarmed: bool,
        image_score: float,
        raw_map: NDArray[np.float32],
        size_px: tuple[int, int],
    ) -> None:
        """Count one image: raw scores of any range, ``raw_map`` [S, S] of a frame of (width, height) ``size_px``.

        ``alarmed``: it was judged anomalous.

        Raises:
            MaskError: its mask cannot be read, or does not fit it.
        """
        self._scores.append(image_score)
        self._anomalous.append(truth.anomalous)
        self._alarmed.append(alarmed)
        if not truth.has_pixel_truth:
            self.without_mask += 1
            return
        shrink = max(1.0, max(size_px) / _MAX_SIDE_PX)
        size = (max(1, round(size_px[0] / shrink)), max(1, round(size_px[1] / shrink)))
        self._pixels.add(cv2.resize(raw_map, size), read_mask(truth, size))

    @property
    def images(self) -> int:
        """How many images have a truth."""
        return len(self._scores)

    def alarms(self) -> Alarms:
        """Return how the verdicts compare with the truth."""
        judged = list(zip(self._anomalous, self._alarmed, strict=True))
        defective = sum(self._anomalous)
        return Alarms(
            found=judged.count((True, True)),
            defective=defective,
            false_alarms=judged.count((False, True)),
            good=len(judged) - defective,
        )

    def result(self) -> tuple[Metric, Metric]:
        """Return image and pixel AUROC."""
        return rank_images(self._scores, self._anomalous).auroc, self._pixels.ranking().auroc
