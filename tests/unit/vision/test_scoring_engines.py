"""Tiles, and the features that banks are made of, are the same whichever engine runs the tower."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_kit import PLATE, SPEC, weights

from inspector.domain.product import CameraSettings
from inspector.vision.camera_book import CameraBook
from inspector.vision.frame_pixels import FramePixels
from inspector.vision.raw_scorer import RawScorer


def scorer(precision: str, engine: str) -> RawScorer:
    made, manifest = weights()
    return RawScorer(
        replace(SPEC, precision=precision, engine=engine), made, manifest.text_mode, [PLATE.vocabulary], max_tiles=3
    )


@pytest.mark.parametrize(("precision", "within", "map_within"), [("fp32", 1e-4, 1e-5), ("int8", 0.05, 0.02)])
def test_tiles_and_bank_features_agree_with_torch(precision: str, within: float, map_within: float) -> None:
    expected, made = scorer("fp32", "torch"), scorer(precision, "onnx")
    rng = np.random.default_rng(0)
    frames = [FramePixels(rng.integers(0, 256, (160, 160, 3), dtype=np.uint8)) for _ in range(2)]
    for level, features in expected.features(frames, PLATE.vocabulary).items():
        mine = made.features(frames, PLATE.vocabulary)[level]
        assert mine.shape == features.shape
        assert (mine - features).norm() <= within * features.norm(), level
    book = CameraBook(
        weights()[1],
        {"default": replace(PLATE, tiles=2)},
        {},
        allow_unknown=True,
        level_widths=expected.level_widths(),
        tile=expected.tile,
        scoring=expected.scoring,
    )
    book.set_camera("cam", CameraSettings(image_threshold=1.0))
    plans = [book.plan("cam", "default")] * 2
    for mine, theirs in zip(made.score(frames, plans)[0], expected.score(frames, plans)[0], strict=True):
        torch.testing.assert_close(
            torch.from_numpy(mine.anomaly_map), torch.from_numpy(theirs.anomaly_map), atol=map_within, rtol=0
        )
        assert mine.image_score == pytest.approx(theirs.image_score, abs=map_within)
