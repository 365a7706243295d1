"""A sample: one encoded frame that is kept for training after Redis and Kafka have let it go."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from inspector.domain.checks import check_number
from inspector.domain.errors import BadInputError
from inspector.domain.result import PredLabel

SAMPLE_SCHEMA = "inspection.sample/1"

ContentType = Literal["image/jpeg", "image/png"]

# Of ids on the frames topic, see `pipeline.frame_record`.
_MAX_ID_CHARS = 128
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PHASH = re.compile(r"[0-9a-f]{16}")
_PART_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
MAX_PARTS = 64


class SampleKind(StrEnum):
    """Why a frame is kept.

    ``FEEDBACK``: a person said what it shows. ``NORMAL``: drawn at random from the frames judged normal.
    ``UNCERTAIN``: its score was among those nearest to the threshold.
    """

    FEEDBACK = "feedback"
    NORMAL = "normal"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class SamplePart:
    """Bytes that belong to a sample beside its image: its result, what people said of it, their masks.

    ``name`` tells which: see ``RESULT_PART``, ``feedback_part`` and ``mask_part``.

    Raises:
        BadInputError: a name, hash or size that cannot be one.
    """

    name: str
    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        _check_pattern("name of a sample's part", self.name, _PART_NAME, "letters, digits, dots and dashes")
        _check_pattern("sha256", self.sha256, _SHA256, "64 hexadecimal digits")
        check_number("size_bytes", self.size_bytes, 0)


RESULT_PART = "result.json"
"""The frame's `inspection.result` as JSON."""


def feedback_part(feedback_id: str) -> str:
    """Return the name of the part that holds one `inspection.feedback` as JSON."""
    return f"feedback-{feedback_id}.json"


def mask_part(feedback_id: str) -> str:
    """Return the name of the part that holds the mask (PNG, size of the frame as captured) of one feedback."""
    return f"mask-{feedback_id}.png"


def is_spoken(part_name: str) -> bool:
    """Tell whether a part is what a person said or drew."""
    return part_name.startswith(("feedback-", "mask-"))


@dataclass(frozen=True, slots=True)
class Sample:
    """What is known of a kept frame besides its bytes; a frame is kept once, whatever the reasons.

    ``sha256`` and ``size_bytes`` are of the encoded image; ``phash`` (64 bits in 16 hexadecimal digits) is nearly the
    same for pictures that look nearly the same. ``anomaly_score``, ``image_threshold`` (0..1), ``pred_label`` and
    ``weights_version`` are those of its result when it was gathered. Times are timezone-aware UTC.

    Raises:
        BadInputError: a value that cannot be one; metadata may come from a bucket into which others write.
    """

    frame_id: str
    camera_id: str
    product: str
    kind: SampleKind
    captured_at: datetime
    sha256: str
    size_bytes: int
    content_type: ContentType
    phash: str
    anomaly_score: float
    image_threshold: float
    pred_label: PredLabel
    weights_version: str
    kept_at: datetime
    parts: tuple[SamplePart, ...] = ()
    schema: str = SAMPLE_SCHEMA

    def __post_init__(self) -> None:
        for name in ("frame_id", "camera_id", "product", "weights_version"):
            _check_id(name, getattr(self, name))
        for name in ("captured_at", "kept_at"):
            _check_aware(name, getattr(self, name))
        _check_pattern("sha256", self.sha256, _SHA256, "64 hexadecimal digits")
        _check_pattern("phash", self.phash, _PHASH, "16 hexadecimal digits")
        check_number("size_bytes", self.size_bytes, 1)
        check_number("anomaly_score", self.anomaly_score, 0, 1)
        check_number("image_threshold", self.image_threshold, 0, 1)
        names = [part.name for part in self.parts]
        if len(names) > MAX_PARTS or len(set(names)) < len(names):
            raise BadInputError(
                f"at most {MAX_PARTS} parts of different names", f"{len(names)}", "gather the sample again"
            )

    @property
    def total_bytes(self) -> int:
        """Bytes of the image and of the parts; what the metadata itself takes is not in it."""
        return self.size_bytes + sum(part.size_bytes for part in self.parts)

    @property
    def margin(self) -> float:
        """How far the score was from its threshold, 0..1: the smaller, the less certain the verdict."""
        return abs(self.anomaly_score - self.image_threshold)


def _check_id(name: str, value: str) -> None:
    if not value.strip() or len(value) > _MAX_ID_CHARS or not value.isprintable():
        raise BadInputError(
            f"{name} of 1 to {_MAX_ID_CHARS} printable characters", repr(value[:100]), f"correct {name}"
        )


def _check_aware(name: str, moment: datetime) -> None:
    if moment.tzinfo is None:
        raise BadInputError(f"{name} with a time zone", moment.isoformat(), f"write {name} in UTC")


def _check_pattern(name: str, value: str, pattern: re.Pattern[str], what: str) -> None:
    if pattern.fullmatch(value) is None:
        raise BadInputError(f"{name} of {what}", repr(value[:100]), "gather the sample again")
