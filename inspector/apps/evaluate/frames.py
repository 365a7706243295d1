"""Samples as the frames that a camera would send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from inspector.datasets.reading import image_bytes
from inspector.datasets.sample import Sample
from inspector.domain.errors import FrameRejectedError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.evaluation.unit_result import FailedImage
from inspector.pipeline.engine_ports import DecodedFrame
from inspector.vision.engine import InspectionEngine

# Not the time of day: what is measured must not hang on when.
MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


class Camera:
    """Decodes samples as frames of one camera and product, and keeps those that cannot be."""

    def __init__(self, engine: InspectionEngine, camera_id: str, product: str) -> None:
        self.camera_id = camera_id
        self.failures: list[FailedImage] = []
        self._engine = engine
        self._product = product

    def take(self, samples: Sequence[Sample]) -> Iterator[tuple[Sample, DecodedFrame]]:
        """Yield the samples that are acceptable images; each other one becomes a failure with its reason."""
        for sample in samples:
            try:
                yield sample, self._decode(sample)
            except OSError as error:
                self.fail(sample, error.strerror or type(error).__name__)
            except (ValueError, FrameRejectedError) as error:
                self.fail(sample, str(error))

    def fail(self, sample: Sample, reason: str) -> None:
        """Note that a sample cannot be used."""
        self.failures.append(FailedImage(sample.name, reason))

    def _decode(self, sample: Sample) -> DecodedFrame:
        data, content_type = image_bytes(sample)
        meta = FrameMeta(sample.name, self.camera_id, "", self._product, MOMENT, content_type)
        return self._engine.decode(Frame(meta, FrameSource("evaluation", 0, 0), data))
