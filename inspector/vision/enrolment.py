"""Normal frames -> a camera's bank, and the score maps they imply."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import torch

from inspector.domain.artefact import Calibration, ScoreMap
from inspector.domain.errors import BadInputError
from inspector.domain.product import ProductSettings
from inspector.domain.result import ScoreMode
from inspector.domain.weights import WeightsManifest
from inspector.pipeline.calibration import MIN_FRAMES, fit_score_map
from inspector.vision.bank_features import peak_fraction
from inspector.vision.bank_file import check_size, dump_bank
from inspector.vision.frame_pixels import FramePixels
from inspector.vision.image_score import fit_score_maps, peaks
from inspector.vision.judge import RawScores
from inspector.vision.plan import BankInUse, Plan
from inspector.vision.raw_scorer import RawScorer, frame_digest
from inspector.vision.reference_bank import BankInfo, build_bank
from inspector.vision.score_map import ScoreMaps

# Bank scores count spreads above what is usual; the peaks of good frames lie at a few.
_UNCALIBRATED = ScoreMap(midpoint=8.0, scale=2.0)


def enrol(
    scorer: RawScorer,
    manifest: WeightsManifest,
    pixels: Sequence[FramePixels],
    false_alarm_rate: float,
    product: ProductSettings,
) -> bytes:
    """Return the bank file of normal frames, with score maps from their left-one-out scores.

    The scores are those of the area where ``product`` is inspected; the references are of the whole frame.

    Raises:
        BadInputError: fewer than 8 different frames, or a bank that might become too large (``check_size``).
    """
    distinct = list({frame_digest(frame): frame for frame in pixels}.items())
    if len(distinct) < MIN_FRAMES:
        raise BadInputError(
            f"at least {MIN_FRAMES} different normal frames", str(len(distinct)), "add normal frames of the camera"
        )
    words = product.vocabulary
    one = scorer.features([distinct[0][1]], words)
    check_size({level: values.shape[1:] for level, values in one.items()}, len(distinct), scorer.scoring)
    features = scorer.features([frame for _, frame in distinct], words)
    bank = build_bank(features, scorer.scoring, scorer.text(words))
    scores = bank.score(features, leave_out=torch.arange(len(distinct)))
    # One map at a time: those of tiled frames are large.
    fraction = peak_fraction(scorer.scoring, bank.levels)
    found = [peaks(scorer.to_maps(each[None], pixels[0].side_px)[0], product, fraction) for each in scores]
    fitted = fit_score_maps(found, partial(fit_score_map, false_alarm_rate=false_alarm_rate))
    return dump_bank(bank, _info(scorer, manifest, fitted, [digest for digest, _ in distinct], scorer.tiles(pixels)))


def reference(
    scorer: RawScorer, manifest: WeightsManifest, pixels: Sequence[FramePixels], product: ProductSettings
) -> BankInUse:
    """Return a bank of one or more normal frames that has no thresholds of its own.

    Fewer than 8 frames tell no false-alarm rate: raw scores are what such a bank is for, and its score maps are a
    fixed one. Raises BadInputError without a frame.
    """
    distinct = {frame_digest(frame): frame for frame in pixels}
    if not distinct:
        raise BadInputError("at least one normal frame", "none", "give normal frames of the camera")
    words = product.vocabulary
    bank = build_bank(scorer.features(list(distinct.values()), words), scorer.scoring, scorer.text(words))
    version = hashlib.sha256("".join(distinct).encode()).hexdigest()
    maps = ScoreMaps(_UNCALIBRATED, _UNCALIBRATED)
    return BankInUse(version, bank, _info(scorer, manifest, maps, list(distinct), scorer.tiles(pixels)))


def _info(
    scorer: RawScorer, manifest: WeightsManifest, maps: ScoreMaps, digests: Sequence[str], tiles: int
) -> BankInfo:
    return BankInfo(
        model=manifest.model,
        image_size_px=manifest.image_size_px,
        weights_version=manifest.version,
        image=maps.image,
        pixel=maps.pixel,
        frame_digests=tuple(digests),
        tiles=tiles,
        variant=scorer.scoring.variant(ScoreMode.BANK),
    )


def calibrate(
    camera_id: str,
    raw: Sequence[RawScores],
    plan: Plan,
    weights_version: str,
    variant: str,
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
        pixel=fit_score_map([peaks(scores.anomaly_map, plan.product, 0).pixel for scores in raw], false_alarm_rate),
        frames=len(raw),
        target_false_alarm_rate=false_alarm_rate,
        created_at=created_at,
        bank_version=None if plan.bank is None else plan.bank.version,
        tiles=plan.tiles,
        variant=variant,
        finer=any(scores.score_maps is not None and scores.score_maps.finer for scores in raw),
    )
