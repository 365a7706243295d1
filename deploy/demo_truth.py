"""What the demo's lines really made, and how the verdicts compare with it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
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
    """Verdicts of one camera against the truth."""

    good: int = 0
    false_alarms: int = 0
    found: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)

    @property
    def recall(self) -> float | None:
        """Share of the defective frames that were found, None if there was none."""
        return self.found.total() / self.made.total() if self.made else None


def read_truth(folder: Path) -> dict[str, TrueFrame]:
    """Read the producers' truth files: frame id -> what was on it."""
    truth: dict[str, TrueFrame] = {}
    for path in sorted(folder.rglob("truth.jsonl")):
        for text in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(text)
            types = tuple(defect["defect_type"] for defect in entry["defects"])
            truth[entry["frame_id"]] = TrueFrame(entry["camera_id"], types)
    return truth


def compare(truth: Mapping[str, TrueFrame], results: Iterable[InspectionResult]) -> dict[str, CameraScore]:
    """Compare verdicts with the truth, camera by camera; a frame with several types counts once, under its first."""
    scores: dict[str, CameraScore] = {}
    for result in results:
        frame = truth.get(result.frame_id)
        if frame is None:
            continue
        score = scores.setdefault(frame.camera_id, CameraScore())
        anomalous = result.pred_label is PredLabel.ANOMALOUS
        if frame.defect_types:
            score.made[frame.defect_types[0]] += 1
            score.found[frame.defect_types[0]] += anomalous
        else:
            score.good += 1
            score.false_alarms += anomalous
    return scores
