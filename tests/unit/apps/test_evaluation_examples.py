"""Example pictures of an evaluation: scores of any size can be painted."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from inspector.apps.evaluate.examples import candidate, draw_examples
from inspector.datasets.sample import Sample
from inspector.evaluation.unit_result import ScoredImage


def test_scores_beyond_half_precision_are_painted(tmp_path: Path) -> None:
    # Where all frames of a camera are alike, their spread is next to nothing and a defect scores in millions.
    photograph = tmp_path / "part.png"
    cv2.imwrite(str(photograph), np.full((64, 64, 3), 90, np.uint8))
    scores = np.full((64, 64), 5.0, np.float32)
    scores[16:48, 16:48] = 2e6
    scored = ScoredImage("part.png", (), False, 2e6, 1.0, "anomalous", None)
    sample = Sample(photograph, "part", "test")
    [worst] = draw_examples([candidate(sample, scored, (64, 64), scores)], 1, 1e5)
    assert worst.found_jpeg != worst.truth_jpeg
