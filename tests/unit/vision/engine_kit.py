"""A tiny engine and frames that look like a camera's, shared by the tests of the engine."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache

import numpy as np
from numpy.typing import NDArray

from inspector.dapo.prompt_weights import PromptWeights, init_prompt_weights
from inspector.dapo.spec import ModelSpec
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.product import CameraSettings, DefectSpec, ProductSettings
from inspector.domain.weights import WeightsManifest
from inspector.vision.engine import InspectionEngine
from inspector.vision.opencv import cv2

SPEC = ModelSpec("inspector-s", image_size_px=96)
PLATE = ProductSettings("plate", (DefectSpec("scratch"), DefectSpec("dent", severity_weight=2)))
BOARD = ProductSettings("board", tuple(DefectSpec(name) for name in ("short", "open", "spur", "missing part")))
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@cache
def weights(seed: int = 0) -> tuple[PromptWeights, WeightsManifest]:
    return init_prompt_weights(SPEC, PLATE.vocabulary, seed)


def engine(seed: int = 0, allow_unknown: bool = True) -> InspectionEngine:
    cameras = {"cam1": CameraSettings("plate"), "cam2": CameraSettings("board")}
    products = {"plate": PLATE, "board": BOARD}
    return InspectionEngine(SPEC, *weights(seed), products, cameras, allow_unknown)


def photo(seed: int, defect: bool = False) -> NDArray[np.uint8]:
    """A brushed plate, 240 x 192; the defect is a dark blot at x 150..190, y 40..70."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 25, (192, 240)), (0, 0), sigmaX=8, sigmaY=0.6)
    rgb = np.clip(150 + grain[..., None] + rng.normal(0, 2, (192, 240, 3)), 0, 255).astype(np.uint8)
    if defect:
        cv2.ellipse(rgb, (170, 55), (20, 15), 0, 0, 360, (40, 30, 30), -1)
    return rgb


def frame(seed: int, camera_id: str = "cam1", product: str = "plate", defect: bool = False) -> Frame:
    image = cv2.imencode(".jpg", photo(seed, defect)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    meta = FrameMeta(f"f{seed}", camera_id, "line-1", product, NOW, "image/jpeg")
    return Frame(meta, FrameSource("inspection.frames", 0, seed), image)


def version_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
