"""Kept frames, and what people said of them, for the tests of the trainer: pictures of 32 px that encode in no time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.product import DefectSpec, ProductSettings
from inspector.domain.result import PredLabel
from inspector.domain.sample import Sample, SampleKind, SamplePart
from inspector.training.options import TrainingOptions
from inspector.training.refresh.gathering import Wanted
from inspector.training.refresh.inputs import Recipe
from inspector.vision.opencv import cv2

NOW = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
PLATE = ProductSettings(defects=(DefectSpec("scratch"), DefectSpec("dent")))
PRODUCTS = {"default": ProductSettings(), "plate": PLATE}
OPTIONS = TrainingOptions(epochs=2, batch_size=4, seed=3)
RECIPE = Recipe(OPTIONS, correction_repeats=2, synthetic_per_camera=4, core_scenes=4)
WANTED = Wanted("w1", PRODUCTS, RECIPE, normals_per_camera=50)


def png(number: int, side_px: int = 32, square: bool = False) -> bytes:
    """A noisy grey picture, no two alike; ``square``: with a bright one of 8 px on it."""
    pixels = np.random.default_rng(number).integers(90, 150, (side_px, side_px, 3), np.uint8)
    if square:
        pixels[8:16, 8:16] = (250, 240, 40)
    return bytes(cv2.imencode(".png", pixels)[1])


class MemorySamples:
    """``SampleStore`` in memory."""

    def __init__(self) -> None:
        self.images: dict[str, bytes] = {}
        self.kept: dict[str, Sample] = {}
        self.parts: dict[tuple[str, str], bytes] = {}

    def put(self, sample: Sample, image: bytes, parts: Mapping[str, bytes] = {}) -> bool:
        entered = tuple(SamplePart(n, hashlib.sha256(data).hexdigest(), len(data)) for n, data in parts.items())
        self.kept[sample.frame_id] = replace(sample, parts=entered)
        self.images[sample.frame_id] = image
        self.parts.update({(sample.frame_id, name): data for name, data in parts.items()})
        return True

    def image(self, sample: Sample) -> bytes:
        data = self.images[sample.frame_id]
        if hashlib.sha256(data).hexdigest() != sample.sha256:
            raise BadInputError("the image that was kept", "a damaged one", "remove it")
        return data

    def part(self, sample: Sample, name: str) -> bytes | None:
        return self.parts.get((sample.frame_id, name))

    def samples(self, camera_id: str | None = None) -> Iterator[Sample]:
        yield from sorted(self.kept.values(), key=lambda sample: (sample.camera_id, sample.frame_id))

    def remove(self, sample: Sample) -> None:
        self.kept.pop(sample.frame_id, None)

    def used_bytes(self) -> int:
        return sum(len(image) for image in self.images.values())


def sample(frame_id: str, image: bytes, kind: SampleKind = SampleKind.NORMAL, camera_id: str = "cam1") -> Sample:
    label = PredLabel.NORMAL
    return Sample(
        frame_id, camera_id, "plate", kind, NOW, hashlib.sha256(image).hexdigest(), len(image), "image/png", "0" * 16,
        0.1, 0.5, label, "w1", NOW,
    )  # fmt: skip


def missed(
    frame_id: str, defect_type: str | None = "scratch", person: str = "anna", minutes: int = 0, **more: object
) -> Feedback:
    """A frame that the service judged normal and is not."""
    return Feedback(
        frame_id, "cam1", "w1", FeedbackVerdict.WRONG, person, NOW + timedelta(minutes=minutes), PredLabel.NORMAL,
        defect_type, product="plate", **more,  # type: ignore[arg-type]  # what Feedback takes
    )  # fmt: skip


def false_alarm(frame_id: str, person: str = "anna") -> Feedback:
    """A frame that the service judged anomalous and is not."""
    return Feedback(frame_id, "cam1", "w1", FeedbackVerdict.WRONG, person, NOW, PredLabel.ANOMALOUS, product="plate")


def put(store: MemorySamples, frame_id: str, number: int, kind: SampleKind = SampleKind.NORMAL, **more: bytes) -> None:
    """Keep a picture under a frame's id."""
    image = png(number, square=kind is SampleKind.FEEDBACK)
    store.put(sample(frame_id, image, kind), image, more)
