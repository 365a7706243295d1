"""What a camera is like and was like, read from what is kept of it: results, regions and frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from inspector.apps.kept_results import KeptResults
from inspector.domain.drift import CameraSnapshot, FrameQuality, ScoreBasis
from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.domain.result import InspectionResult, PredLabel

_MOST_FRAMES = 60
_MOST_REGIONS = 100


class Evidence(Protocol):
    """What is asked of ``adapters.redis.results.RedisResults``."""

    def frame(self, frame_id: str) -> bytes | None:
        """Return the encoded frame as captured, where it was kept."""
        ...

    def regions(self, frame_id: str) -> bytes | None:
        """Return what the listed defects look like to words, where there are any."""
        ...


@dataclass(frozen=True, slots=True)
class KeptFrame:
    """A frame whose bytes can be had by ``load``, which returns None where they are gone."""

    frame_id: str
    captured_at: datetime
    label: PredLabel
    load: Callable[[], bytes | None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Views:
    """The oldest and the latest that is known of a camera, apart from each other; ``remarks``: what was left out."""

    oldest: CameraSnapshot
    latest: CameraSnapshot
    remarks: tuple[str, ...]


def views(
    camera_id: str,
    kept: KeptResults,
    evidence: Evidence,
    frames: Sequence[KeptFrame],
    measure: Callable[[bytes], FrameQuality],
    recent: int,
) -> Views:
    """Return the snapshots of a camera's first and last ``recent`` results that compare with its last one.

    ``frames`` are what is kept of its pictures, in any order; ``measure`` raises FrameRejectedError for one that is no
    picture. Where there are fewer than twice as many, each half is one snapshot.

    Raises:
        InspectorError: as ``evidence``.
    """
    last = kept.complete[-1] if kept.complete else None
    alike = [result for result in kept.complete if last is not None and _basis(result) == _basis(last)]
    count = min(recent, len(alike) // 2)
    first, latest = (alike[:count], alike[len(alike) - count :]) if count else ([], alike)
    pictures = _Pictures(measure)
    by_label = {
        label: sorted((f for f in frames if f.label is label), key=lambda f: (f.captured_at, f.frame_id))
        for label in PredLabel
    }
    # Read from both ends; the oldest never beyond the middle, or one frame would be then and now.
    early = {label: pictures.first(each[: len(each) // 2]) for label, each in by_label.items()}
    late = {label: pictures.first(each[len(each) // 2 :][::-1]) for label, each in by_label.items()}
    remarks = []
    if others := len(kept.complete) - len(alike):
        remarks.append(f"{others} results of other weights, banks, calibrations, modes or products are not compared")
    if pictures.unreadable:
        remarks.append(f"{pictures.unreadable} kept frames are no pictures and were left out")
    return Views(
        _snapshot(camera_id, first, evidence, early), _snapshot(camera_id, latest, evidence, late), tuple(remarks)
    )


@dataclass(slots=True)
class _Pictures:
    measure: Callable[[bytes], FrameQuality]
    unreadable: int = 0

    def first(self, frames: Sequence[KeptFrame]) -> tuple[FrameQuality, ...]:
        """Measure the first frames that can be had, ``_MOST_FRAMES`` at most."""
        measured: list[FrameQuality] = []
        for frame in frames:
            if len(measured) == _MOST_FRAMES:
                break
            if (data := frame.load()) is None:
                continue
            try:
                measured.append(self.measure(data))
            except FrameRejectedError:
                self.unreadable += 1
        return tuple(measured)


def _snapshot(
    camera_id: str,
    results: Sequence[InspectionResult],
    evidence: Evidence,
    frames: dict[PredLabel, tuple[FrameQuality, ...]],
) -> CameraSnapshot:
    return CameraSnapshot(
        camera_id=camera_id,
        first_at=results[0].captured_at if results else None,
        last_at=results[-1].captured_at if results else None,
        basis=_basis(results[-1]) if results else None,
        scores=tuple(result.anomaly_score for result in results),
        embeddings=_embeddings(results, evidence),
        normal_frames=frames[PredLabel.NORMAL],
        anomalous_frames=frames[PredLabel.ANOMALOUS],
    )


def _embeddings(results: Sequence[InspectionResult], evidence: Evidence) -> tuple[tuple[float, ...], ...]:
    """Return those of the regions of some results, of one length; what is damaged or of other weights is left out."""
    listed = [result for result in results if result.defects]
    if not listed:
        return ()
    from inspector.vision.region_embeddings import parse_regions

    found: list[tuple[float, ...]] = []
    for result in listed:
        if len(found) >= _MOST_REGIONS:
            break
        if (data := evidence.regions(result.frame_id)) is None:
            continue
        try:
            regions = parse_regions(data)
        except BadInputError:
            continue
        if regions.made_with.weights_version == result.weights_version:
            found += [tuple(round(float(value), 4) for value in row) for row in regions.values]
    usual = Counter(map(len, found)).most_common(1)
    return tuple(row for row in found if len(row) == usual[0][0])[:_MOST_REGIONS] if usual else ()


def _basis(result: InspectionResult) -> ScoreBasis:
    return ScoreBasis(
        result.product, result.mode, result.weights_version, result.bank_version, result.calibration_version
    )
