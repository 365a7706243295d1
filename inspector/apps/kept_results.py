"""All results of a camera that Redis still has, and since when it has them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from inspector.domain.errors import BadInputError
from inspector.domain.result import InspectionResult, PredLabel
from inspector.settings import Settings

# Some 2 kB each.
_MOST_RESULTS = 50_000


class Results(Protocol):
    """What is asked of ``adapters.redis.results.RedisResults``."""

    def last(
        self, camera_id: str, n: int, defects_only: bool = False, until: datetime | None = None
    ) -> list[InspectionResult]:
        """Return up to ``n`` results of a camera, the last captured first."""
        ...

    def cameras(self) -> dict[str, datetime]:
        """Return every camera with results kept, and when its last one was stored."""
        ...


@dataclass(frozen=True, slots=True)
class KeptResults:
    """``results``, the first captured first; before ``complete_since`` good ones may be gone and defects still kept."""

    results: Sequence[InspectionResult] = field(repr=False)
    complete_since: datetime

    @property
    def complete(self) -> Sequence[InspectionResult]:
        """The results from then on, which are the camera's frames as they came."""
        return [result for result in self.results if result.captured_at >= self.complete_since]


def kept_results(settings: Settings, store: Results, camera_id: str, now: datetime) -> KeptResults:
    """Read a camera's results; an unknown camera's are none.

    Raises:
        BadInputError: another camera's name is more likely meant.
        InspectorError: as ``RedisResults``.
    """
    kept = settings.retention
    results = store.last(camera_id, min(_MOST_RESULTS, kept.good_per_camera + kept.defect_per_camera))[::-1]
    if not results:
        require_known_camera(settings, store, camera_id)
    since = now - timedelta(hours=min(kept.good_hours, kept.defect_hours))
    limits = {PredLabel.NORMAL: kept.good_per_camera, PredLabel.ANOMALOUS: kept.defect_per_camera}
    for label, limit in limits.items():
        times = [result.captured_at for result in results if result.pred_label is label]
        if len(times) >= min(limit, _MOST_RESULTS):  # those before were let go by their number
            since = max(since, times[0])
    if len(results) == _MOST_RESULTS:
        since = max(since, results[0].captured_at)
    return KeptResults(results, since)


def require_known_camera(settings: Settings, store: Results, camera_id: str) -> None:
    """Refuse a camera without results whose name is more likely a wrong one.

    Raises:
        BadInputError: other cameras have results, and neither they nor the settings name this one.
    """
    known = store.cameras()
    if known and camera_id not in known and camera_id not in settings.domain_cameras():
        raise BadInputError(
            "a camera with results",
            f"{camera_id!r}; there are {', '.join(sorted(known))}",
            "check the name with `inspector cameras`, and that an inspector runs",
        )
