"""Samples for tests: small records around any bytes, and results as the line stores them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from inspector.domain.frame import FrameSource
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.domain.sample import Sample, SampleKind
from inspector.pipeline.sample_choice import SampleLimits
from inspector.vision.opencv import cv2

T0 = datetime(2026, 3, 1, 6, tzinfo=UTC)
LIMITS = SampleLimits(max_bytes=10**9, normals_per_camera=50, uncertain_per_camera=10, phash_distance=0)


def sample(frame_id: str = "f1", image: bytes = b"an image", **changes: Any) -> Sample:
    """A sample of these bytes; its pHash is made up from its id, so that no two look alike."""
    fields: dict[str, Any] = {
        "camera_id": "cam1",
        "product": "plate",
        "kind": SampleKind.NORMAL,
        "captured_at": T0,
        "sha256": hashlib.sha256(image).hexdigest(),
        "size_bytes": len(image),
        "content_type": "image/jpeg",
        "phash": hashlib.sha256(frame_id.encode()).hexdigest()[:16],
        "anomaly_score": 0.1,
        "image_threshold": 0.5,
        "pred_label": PredLabel.NORMAL,
        "weights_version": "ab" * 32,
        "kept_at": T0 + timedelta(hours=1),
    }
    return Sample(frame_id=frame_id, **{**fields, **changes})


def result(
    frame_id: str, offset: int = 0, camera_id: str = "cam1", score: float = 0.1, **changes: Any
) -> InspectionResult:
    """The result of a frame, anomalous from a score of 0.5 on."""
    captured_at = T0 + timedelta(seconds=offset)
    made = InspectionResult(
        frame_id=frame_id,
        camera_id=camera_id,
        line_id="line-1",
        product="plate",
        captured_at=captured_at,
        inspected_at=captured_at + timedelta(seconds=1),
        anomaly_score=score,
        pred_label=PredLabel.ANOMALOUS if score >= 0.5 else PredLabel.NORMAL,
        image_threshold=0.5,
        mode=ScoreMode.BANK,
        weights_version="ab" * 32,
        model="m",
        source=FrameSource("inspection.frames", 0, offset),
        timings_ms={},
        width_px=64,
        height_px=48,
    )
    return replace(made, **changes)


def picture(seed: int, noise: float = 0.0) -> bytes:
    """A small JPEG; each seed looks different, and ``noise`` (grey levels) does not change the look."""
    rng = np.random.default_rng(seed)
    pixels = cv2.resize(rng.uniform(30, 220, (6, 8, 3)).astype(np.float32), (160, 120), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(abs(hash((seed, noise)))).normal(0, max(noise, 1e-9), pixels.shape)
    done, encoded = cv2.imencode(".jpg", np.clip(pixels + grain, 0, 255).astype(np.uint8))
    assert done
    return encoded.tobytes()
