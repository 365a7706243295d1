"""Normal frames -> a camera's bank, and the score maps they imply."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import torch

from inspector.domain.artefact import Calibration
from inspector.domain.errors import BadInputError
from inspector.domain.weights import WeightsManifest
from inspector.pipeline.calibration import MIN_FRAMES, fit_score_map
from inspector.vision.bank_file import dump_bank
from inspector.vision.camera_book import Plan
from inspector.vision.judge import RawScores
from inspector.vision.raw_scorer import Pixels, RawScorer, frame_digest, peak
from inspector.vision.reference_bank import BankInfo, build_bank


def enrol(scorer: RawScorer, manifest: WeightsManifest, pixels: Sequence[Pixels], false_alarm_rate: float) -> bytes:
    """Return the bank file of normal frames (uint8 [S, S, 3] each), with score maps from their left-one-out scores.

    Raises:
        BadInputError: fewer than 8 different frames.
    """
    distinct = list({frame_digest(frame): frame for frame in pixels}.items())
    if len(distinct) < MIN_FRAMES:
        raise BadInputError(
            f"at least {MIN_FRAMES} different normal frames", str(len(distinct)), "add normal frames of the camera"
        )
    features = scorer.features([frame for _, frame in distinct])
    bank = build_bank(features)
    maps = scorer.to_maps(bank.score(features, leave_out=torch.arange(len(distinct))))
    peaks = fit_score_map(maps.max(axis=(1, 2)).tolist(), false_alarm_rate)
    info = BankInfo(
        model=manifest.model,
        image_size_px=manifest.image_size_px,
        weights_version=manifest.version,
        # In bank mode a frame's score is the peak of its map, so both maps are one.
        image=peaks,
        pixel=peaks,
        frame_digests=tuple(digest for digest, _ in distinct),
    )
    return dump_bank(bank, info)


def calibrate(
    camera_id: str,
    raw: Sequence[RawScores],
    plan: Plan,
    weights_version: str,
    false_alarm_rate: float,
    created_at: datetime,
) -> Calibration:
    """Return the calibration of a camera from the raw scores of normal frames, scored by ``plan``.

    Raises:
        BadInputError: fewer than 8 frames.
    """
    return Calibration(
        camera_id=camera_id,
        mode=plan.mode,
        weights_version=weights_version,
        image=fit_score_map([scores.image_score for scores in raw], false_alarm_rate),
        pixel=fit_score_map([peak(scores.anomaly_map, plan.product) for scores in raw], false_alarm_rate),
        frames=len(raw),
        target_false_alarm_rate=false_alarm_rate,
        created_at=created_at,
        bank_version=None if plan.bank is None else plan.bank.version,
    )
