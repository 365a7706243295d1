"""From a result to a sample: where the frame still is, and whether it is what it should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from inspector.adapters.artefacts import version_of
from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.domain.frame import FrameSource
from inspector.domain.product import CameraSettings
from inspector.domain.records import to_json
from inspector.domain.result import InspectionResult
from inspector.domain.sample import RESULT_PART, Sample, SampleKind
from inspector.pipeline.frame_record import parse
from inspector.pipeline.ports import LogRecord
from inspector.vision.decode import DecodeLimits, check
from inspector.vision.image_header import ImageFormat
from inspector.vision.perceptual_hash import perceptual_hash

FRAME_GONE = "the frame is kept nowhere any more"
UNDECODABLE = "the frame cannot be decoded"
UNUSABLE = "the result is not what a result can be"

RecordAt = Callable[[FrameSource], LogRecord | None]
"""Returns a record of the frames topic, None where it is not kept any more."""


class FrameResults(Protocol):
    """Results and frames in Redis: see ``adapters.redis.results.RedisResults``."""

    def get(self, frame_id: str) -> InspectionResult | None:
        """Return one result, or None where there is none (any more)."""
        ...

    def frame(self, frame_id: str) -> bytes | None:
        """Return the encoded frame as captured, where it was kept."""
        ...


@dataclass(frozen=True, slots=True)
class NewSample:
    """What a store is given; ``parts`` by name."""

    sample: Sample
    image: bytes = field(repr=False)
    parts: dict[str, bytes] = field(repr=False)


class SampleMaker:
    """Makes samples of results. Redis keeps the frames judged anomalous, Kafka for a shorter time all of them."""

    def __init__(self, results: FrameResults, record_at: RecordAt, limits: DecodeLimits) -> None:
        self._results = results
        self._record_at = record_at
        self._limits = limits

    def result(self, frame_id: str, camera_id: str) -> InspectionResult | None:
        """Return a frame's result; None where it is gone, cannot be read, or is another camera's."""
        try:
            found = self._results.get(frame_id)
        except BadInputError:
            return None
        return found if found is not None and found.camera_id == camera_id else None

    def make(self, result: InspectionResult, kind: SampleKind) -> NewSample | str:
        """Return the sample that a result's frame makes, or why it makes none."""
        image = self._results.frame(result.frame_id) or self._from_log(result)
        if image is None:
            return FRAME_GONE
        try:
            header = check(image, "", self._limits)
            phash = perceptual_hash(image, "", self._limits)
        except FrameRejectedError:
            return UNDECODABLE
        try:
            sample = _sample(result, kind, image, header.format, phash)
        except BadInputError:
            return UNUSABLE
        return NewSample(sample, image, {RESULT_PART: to_json(result)})

    def _from_log(self, result: InspectionResult) -> bytes | None:
        record = self._record_at(result.source)
        if record is None:
            return None
        try:
            frame = parse(record, lambda _: CameraSettings(), self._limits.max_bytes)
        except FrameRejectedError:
            return None
        # A topic that was made anew has other frames at the same places.
        is_same = (frame.meta.frame_id, frame.meta.camera_id) == (result.frame_id, result.camera_id)
        return frame.image if is_same else None


def _sample(result: InspectionResult, kind: SampleKind, image: bytes, image_format: ImageFormat, phash: str) -> Sample:
    return Sample(
        frame_id=result.frame_id,
        camera_id=result.camera_id,
        product=result.product,
        kind=kind,
        captured_at=result.captured_at,
        sha256=version_of(image),
        size_bytes=len(image),
        content_type=image_format.value,
        phash=phash,
        anomaly_score=result.anomaly_score,
        image_threshold=result.image_threshold,
        pred_label=result.pred_label,
        weights_version=result.weights_version,
        kept_at=datetime.now(UTC),
    )
