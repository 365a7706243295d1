"""The last frames of every camera that is scored mutually: bounded, over all cameras, in memory."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence

from inspector.domain.scoring import ScoringSettings
from inspector.vision.mutual_ring import MutualFrame, MutualRing, MutualScore, ToMaps

_LOG = logging.getLogger(__name__)


class MutualRings:
    """The rings of all cameras, one for each product; beyond ``mutual_memory_mb`` what was silent longest is forgotten.

    What a camera says it shows after a change-over is not measured against what it showed before.
    """

    def __init__(self, scoring: ScoringSettings, false_alarm_rate: float) -> None:
        self.scoring = scoring
        self._false_alarm_rate = false_alarm_rate
        self._rings: OrderedDict[tuple[str, str], MutualRing] = OrderedDict()
        self._told: set[str] = set()

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras with a ring, the one that was silent longest first."""
        return tuple(dict.fromkeys(camera_id for camera_id, _ in self._rings))

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(ring.size for ring in self._rings.values())

    def score(
        self,
        camera_id: str,
        product_name: str,
        frames: Sequence[MutualFrame],
        to_maps: ToMaps,
        least: int | None = None,
    ) -> list[MutualScore] | None:
        """Take the frames of one camera and product in a batch and score them; None while these are too few.

        ``least``: as for ``MutualRing.score``.
        """
        least = self.scoring.mutual_min_frames if least is None else least
        stream = (camera_id, product_name)
        ring = self._rings.setdefault(stream, MutualRing(self.scoring, self._false_alarm_rate))
        self._rings.move_to_end(stream)
        room = self.scoring.mutual_memory_mb * 2**20
        # Short rings for all, rather than long ones for some and none, in turn, for the others.
        ring.room = min(room, max(room // len(self._rings), least * frames[-1].size))
        ring.take(frames)
        size = self.size
        if frames[-1].size * least > room:
            self._tell("stays", camera_id, f"{least} of its frames")
        while size > room and len(self._rings) > 1:
            (forgotten, _), silent = self._rings.popitem(last=False)
            self._tell("starts anew", forgotten, f"the last frames of {len(self._rings) + 1} cameras and products")
            size -= silent.size
        return ring.score(frames, to_maps, least)

    def may_stand_still(self, camera_id: str, product_name: str) -> bool:
        """Say whether frames of a camera and product may be matched in their place: the fine level asks for it."""
        ring = self._rings.get((camera_id, product_name))
        return ring is None or ring.may_stand_still

    def forget(self, camera_id: str) -> None:
        """Drop a camera's rings, if it has any."""
        for stream in [stream for stream in self._rings if stream[0] == camera_id]:
            del self._rings[stream]

    def _tell(self, what: str, camera_id: str, how_many: str) -> None:
        """Warn, but once for each ``what``: it would be said with every frame."""
        if what not in self._told:
            self._told.add(what)
            room_mb = self.scoring.mutual_memory_mb
            _LOG.warning(
                "camera %s %s zero-shot: %s take more than scoring.mutual_memory_mb: %d; raise it, or use fewer tiles",
                camera_id,
                what,
                how_many,
                room_mb,
            )
