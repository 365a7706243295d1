"""What the demo's lines really made, and how the verdicts compare with it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inspector.domain.result import InspectionResult, PredLabel


@dataclass(frozen=True, slots=True)
class TrueFrame:
    """One rendered frame: its camera, and the defect types on it (none: a good part)."""

    camera_id: str
    defect_types: tuple[str, ...]


@dataclass
class CameraScore:
    """Verdicts of one camera against the truth; ``missing`` frames were made and have no result.

    ``right_type``: found frames whose gravest defect is of a type that was made on them.
    """

    missing: int = 0
    good: int = 0
    false_alarms: int = 0
    found: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    right_type: int = 0

    @property
    def recall(self) -> float | None:
        """Share of the defective frames that were found, None if there was none."""
        return self.found.total() / self.made.total() if self.made else None


def read_truth(folder: Path) -> dict[str, TrueFrame]:
    """Read the producers' truth files as far as they are written: frame id -> what was on it."""
    truth: dict[str, TrueFrame] = {}
    for path in sorted(folder.rglob("truth.jsonl")):
        for text in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if not text.endswith("\n"):  # still being written
                break
            entry = json.loads(text)
            types = tuple(defect["defect_type"] for defect in entry["defects"])
            truth[entry["frame_id"]] = TrueFrame(entry["camera_id"], types)
    return truth


@dataclass
class Inspected:
    """The results of the frames that were made, each fetched once, so that no retention can take them away again."""

    get: Callable[[str], InspectionResult | None]
    results: dict[str, InspectionResult] = field(default_factory=dict)

    def update(self, frame_ids: Iterable[str]) -> None:
        """Fetch what has been inspected since."""
        for frame_id in frame_ids:
            if frame_id not in self.results and (result := self.get(frame_id)) is not None:
                self.results[frame_id] = result

    def counts(self, camera_id: str) -> tuple[int, int]:
        """Return how many frames of a camera were inspected, and how many of them judged anomalous."""
        own = [result for result in self.results.values() if result.camera_id == camera_id]
        return len(own), sum(result.pred_label is PredLabel.ANOMALOUS for result in own)


def compare(truth: Mapping[str, TrueFrame], results: Mapping[str, InspectionResult]) -> dict[str, CameraScore]:
    """Compare verdicts with the truth, camera by camera; a frame with several types counts once, under its first."""
    scores: dict[str, CameraScore] = {}
    for frame_id, frame in truth.items():
        score = scores.setdefault(frame.camera_id, CameraScore())
        result = results.get(frame_id)
        if result is None:
            score.missing += 1
            continue
        anomalous = result.pred_label is PredLabel.ANOMALOUS
        if frame.defect_types:
            score.made[frame.defect_types[0]] += 1
            score.found[frame.defect_types[0]] += anomalous
            gravest = max(result.defects, key=lambda defect: defect.severity, default=None)
            score.right_type += anomalous and gravest is not None and gravest.defect_type in frame.defect_types
        else:
            score.good += 1
            score.false_alarms += anomalous
    return scores
