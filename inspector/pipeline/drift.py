"""Whether a camera still sees what it saw: its scores, what it finds, and its pictures, then and now.

A check says "drifted" only where the difference is large *and* beyond chance: large, because on thousands of frames any
change is beyond chance, and frames of one part are not independent of each other; beyond chance, because a few
frames differ a lot by chance. It is told and changes nothing: what to do is for a person, or for the gate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from inspector.domain.drift import CameraDrift, CameraSnapshot, DriftCheck, DriftVerdict, FrameQuality
from inspector.pipeline.calibration import MEDIAN_SCORE
from inspector.pipeline.exact_tests import binomial_tail
from inspector.pipeline.two_samples import (
    Difference,
    kernel_discrepancy,
    largest_shift,
    median_shift,
    population_stability,
)

CHANCE = 0.01
"""A difference that is as likely as this with nothing changed is taken for chance."""
LEAST_SCORES = 50
LEAST_REGIONS = 20
LEAST_FRAMES = 12

_STABILITY_LIMIT = 0.25  # the usual bound of a large change, Siddiqi 2006
_DISCREPANCY_LIMIT = 0.05  # simulated: two clusters of which the share changes from a half to three quarters give 0.06
_PLACE_LIMIT = 0.06  # of the grey scale: a smear that darkens its place by 15 of 255 levels
# A camera's own threshold puts half of its good frames below MEDIAN_SCORE; of the recent, so many may lie on one side.
_ONE_SIDE = 0.8


@dataclass(frozen=True, slots=True)
class _Quality:
    """A figure of pictures, and how far its median may go: as a share of the larger one, or by itself."""

    name: str
    relative: bool
    limit: float
    falls: str
    rises: str


_QUALITIES = (
    _Quality("sharpness", True, 0.4, "less detail: focus, vibration, a fouled lens", "more detail, or noise"),
    _Quality("focus", True, 0.4, "blurred beside its contrast: focus or vibration", "sharper, or more noise"),
    _Quality(
        "contrast", True, 0.25, "flatter: haze, a fouled lens, other light", "more contrast: other light or parts"
    ),
    _Quality("veil", False, 0.06, "darker shadows: other light", "shadows are lifted: stray light or a fouled lens"),
    _Quality("brightness", False, 0.08, "darker: lamp, exposure or aperture", "brighter: lamp, exposure or aperture"),
    _Quality("clipped_dark", False, 0.02, "fewer pixels are black", "underexposed: pixels without detail"),
    _Quality("clipped_bright", False, 0.02, "fewer pixels are white", "overexposed: pixels without detail"),
)


def compare(baseline: CameraSnapshot, recent: CameraSnapshot, *, baseline_kept: bool, seed: int = 0) -> CameraDrift:
    """Hold what a camera is like now against what it was; the same snapshots give the same report."""
    checks = (
        _scores(baseline, recent, seed),
        _against_enrolment(recent),
        _regions(baseline, recent, seed),
        *_pictures(baseline, recent, seed),
    )
    remarks = []
    if not baseline_kept:
        remarks.append(
            "compared with the oldest that is still kept, which moves on: a slow change shows only beside a baseline "
            "that was saved (--save, then --baseline)"
        )
    return CameraDrift(
        camera_id=recent.camera_id,
        drifted=any(check.verdict is DriftVerdict.DRIFTED for check in checks),
        baseline_kept=baseline_kept,
        baseline_from=baseline.first_at,
        baseline_to=baseline.last_at,
        recent_from=recent.first_at,
        recent_to=recent.last_at,
        checks=checks,
        remarks=tuple(remarks),
    )


def _scores(baseline: CameraSnapshot, recent: CameraSnapshot, seed: int) -> DriftCheck:
    counts = len(baseline.scores), len(recent.scores)
    if baseline.basis != recent.basis and min(counts):
        return _not_comparable("scores", counts)
    if min(counts) < LEAST_SCORES:
        return _too_little("scores", counts, LEAST_SCORES, "scores")
    before, now = np.array(baseline.scores, np.float64), np.array(recent.scores, np.float64)
    found = population_stability(before, now, seed)
    medians = float(np.median(before)), float(np.median(now))
    text = f"population stability index {found.value:.2f}; median score {medians[0]:.3f} -> {medians[1]:.3f}"
    return _check("scores", found, _STABILITY_LIMIT, counts, text, medians)


def _against_enrolment(recent: CameraSnapshot) -> DriftCheck:
    """Check the recent median against that of the frames the camera was enrolled or calibrated with, known by now."""
    name, count = "median_since_enrolment", len(recent.scores)
    basis = recent.basis
    if basis is None or (basis.bank_version is None and basis.calibration_version is None):
        text = "the camera has no bank and no calibration of its own"
        return DriftCheck(name, DriftVerdict.NOT_COMPARABLE, 0, count, text)
    if count < LEAST_SCORES:
        return _too_little(name, (LEAST_SCORES, count), LEAST_SCORES, "scores")
    above = sum(score > MEDIAN_SCORE for score in recent.scores)
    below = sum(score < MEDIAN_SCORE for score in recent.scores)
    most = max(above, below)
    found = Difference(most / count, min(1.0, 2 * binomial_tail(most, count, 0.5)))
    median = float(np.median(recent.scores))
    side = "above" if above > below else "below"
    text = f"{most / count:.0%} of scores are {side} {MEDIAN_SCORE:g}, the median of the frames it was set up with"
    return _check(name, found, _ONE_SIDE, (0, count), text, (MEDIAN_SCORE, median))


def _regions(baseline: CameraSnapshot, recent: CameraSnapshot, seed: int) -> DriftCheck:
    counts = len(baseline.embeddings), len(recent.embeddings)
    same_weights = (
        baseline.basis is not None
        and recent.basis is not None
        and baseline.basis.weights_version == recent.basis.weights_version
    )
    if not same_weights and min(counts):
        return _not_comparable("regions", counts)
    if min(counts) < LEAST_REGIONS:
        return _too_little("regions", counts, LEAST_REGIONS, "listed regions")
    found = kernel_discrepancy(np.array(baseline.embeddings), np.array(recent.embeddings), seed)
    text = f"what is found looks {{}}: maximum mean discrepancy {found.value:.3f}"
    check = _check("regions", found, _DISCREPANCY_LIMIT, counts, text, None)
    return _worded(check, "otherwise than it did", "as it did")


def _pictures(baseline: CameraSnapshot, recent: CameraSnapshot, seed: int) -> Iterator[DriftCheck]:
    before, now, kind = _same_kind(baseline, recent)
    counts = len(before), len(now)
    if min(counts) < LEAST_FRAMES:
        yield _too_little("pictures", counts, LEAST_FRAMES, "kept frames of one verdict")
        return
    for quality in _QUALITIES:
        value = attrgetter(quality.name)
        yield _picture(quality, [value(frame) for frame in before], [value(frame) for frame in now], kind, seed)
    found = largest_shift(_cells(before), _cells(now), seed)
    text = f"a place of {kind} frames is {{}} beside the rest: changed by up to {found.value:.3f} of the grey scale"
    check = _check("place", found, _PLACE_LIMIT, counts, text, None)
    yield _worded(check, "darker or brighter than it was, as behind dirt on the lens or in other light", "as it was")


def _same_kind(
    baseline: CameraSnapshot, recent: CameraSnapshot
) -> tuple[Sequence[FrameQuality], Sequence[FrameQuality], str]:
    """Return frames of one verdict: a picture of a defect is another picture. Normal ones where there are enough."""
    normal = baseline.normal_frames, recent.normal_frames
    anomalous = baseline.anomalous_frames, recent.anomalous_frames
    enough = min(map(len, normal)) >= LEAST_FRAMES or min(map(len, normal)) >= min(map(len, anomalous))
    return (*normal, "normal") if enough else (*anomalous, "anomalous")


def _picture(quality: _Quality, before: list[float], now: list[float], kind: str, seed: int) -> DriftCheck:
    found = median_shift(np.array(before), np.array(now), seed)
    medians = float(np.median(before)), float(np.median(now))
    if quality.relative:
        # Symmetric: half of it is as large a change as twice of it.
        larger = max(map(abs, medians)) or 1.0
        found = Difference(found.value / larger, found.chance)
    word = quality.rises if found.value > 0 else quality.falls
    text = f"{quality.name} of {kind} frames {medians[0]:.4g} -> {medians[1]:.4g}{{}}"
    sized = Difference(abs(found.value), found.chance)
    check = _check(quality.name, sized, quality.limit, (len(before), len(now)), text, medians)
    return _worded(check, f" ({word})", "")


def _cells(frames: Sequence[FrameQuality]) -> NDArray[np.float64]:
    """Return the cells of frames [N, K], each frame's own brightness taken out: that has a check of its own."""
    cells = np.array([frame.cells for frame in frames], np.float64)
    centred: NDArray[np.float64] = cells - cells.mean(axis=1, keepdims=True)
    return centred


def _check(
    name: str, found: Difference, limit: float, counts: tuple[int, int], text: str, medians: tuple[float, float] | None
) -> DriftCheck:
    drifted = found.value > limit and found.chance <= CHANCE
    verdict = DriftVerdict.DRIFTED if drifted else DriftVerdict.STABLE
    before, now = medians or (None, None)
    return DriftCheck(name, verdict, *counts, text, found.value, limit, found.chance, before, now)


def _worded(check: DriftCheck, drifted: str, stable: str) -> DriftCheck:
    return replace(check, text=check.text.format(drifted if check.verdict is DriftVerdict.DRIFTED else stable))


def _too_little(name: str, counts: tuple[int, int], least: int, what: str) -> DriftCheck:
    text = f"too few {what} to say: {counts[0]} then and {counts[1]} now, {least} are needed of each"
    return DriftCheck(name, DriftVerdict.TOO_LITTLE, *counts, text)


def _not_comparable(name: str, counts: tuple[int, int]) -> DriftCheck:
    text = "made with other weights, bank, calibration, mode or product than the baseline: they do not compare"
    return DriftCheck(name, DriftVerdict.NOT_COMPARABLE, *counts, text)
