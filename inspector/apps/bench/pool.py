"""The bench's frames: a small pool of pictures of virtual lines, published again and again under fresh ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import uuid_utils

from inspector.apps import console
from inspector.domain.frame import FrameMeta
from inspector.simulator.catalogue import NAMES
from inspector.simulator.line import line

LINE_ID = "bench"
_GOOD_CAMERAS = 5
# Every tenth frame is anomalous: the virtual lines' own rate.
DEFECT_EVERY = 10


@dataclass(frozen=True)
class Pool:
    """Encoded frames (JPEG, 1280 x 1024) and the cameras that send them, whose ids begin with ``prefix``."""

    prefix: str
    images: tuple[bytes, ...] = field(repr=False)

    @property
    def good_cameras(self) -> tuple[str, ...]:
        """Cameras whose frames are judged normal whatever they show."""
        return tuple(f"{self.prefix}good-{number}" for number in range(_GOOD_CAMERAS))

    @property
    def defect_camera(self) -> str:
        """The camera whose frames are judged anomalous whatever they show."""
        return f"{self.prefix}defect"

    @property
    def cameras(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.good_cameras, self.defect_camera)

    @property
    def mean_bytes(self) -> float:
        """Mean size of an encoded frame."""
        return sum(map(len, self.images)) / len(self.images)

    def image(self, number: int) -> bytes:
        """Return the picture of frame ``number`` (0, 1, 2...)."""
        return self.images[number % len(self.images)]

    def meta(self, number: int) -> FrameMeta:
        """Return fresh metadata for frame ``number``, captured now."""
        anomalous = number % DEFECT_EVERY == 0
        camera_id = self.defect_camera if anomalous else self.good_cameras[number % _GOOD_CAMERAS]
        return FrameMeta(
            frame_id=str(uuid_utils.uuid7()),
            camera_id=camera_id,
            line_id=LINE_ID,
            product="default",
            captured_at=datetime.now(UTC),
            content_type="image/jpeg",
            part_id=f"part-{number:06d}",
        )


def render(prefix: str, frames: int) -> Pool:
    """Render the pool, an equal share of each product."""
    images = []
    with console.progress("rendering frames", frames) as meter:
        for name in NAMES:
            virtual = line(name)
            for index in range(max(1, frames // len(NAMES))):
                images.append(virtual.frame(index).jpeg)
                meter.advance()
    # Products alternate, as they do where one inspector serves several lines.
    each = len(images) // len(NAMES)
    return Pool(prefix, tuple(images[product * each + i] for i in range(each) for product in range(len(NAMES))))
