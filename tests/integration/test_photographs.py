"""Real photographs through the line: every frame has one outcome, alerts are exactly the frames judged anomalous."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from line import Line, running_line
from local_services import PHOTOGRAPHS, Services

from inspector.domain.result import PredLabel, ScoreMode

pytestmark = [pytest.mark.services, pytest.mark.shared, pytest.mark.timeout(900)]

DATASETS = ("ball_screw", "cookie", "printed_board")


@pytest.fixture
def line(services: Services, tmp_path: Path, topic_prefix: str) -> Iterator[Line]:
    with running_line(services, tmp_path, topic_prefix) as running:
        yield running


def test_every_photograph_has_one_outcome_and_alerts_match_the_verdicts(line: Line) -> None:
    pictures = {name: sorted((PHOTOGRAPHS / name / "test").rglob("*.jpg")) for name in DATASETS}
    for name in DATASETS:
        line.run("enroll", name, str(PHOTOGRAPHS / name / "train" / "good"), "--shots", "16")
    line.start_inspector("a")
    line.start_inspector("b")
    for name in DATASETS:
        line.run("produce", str(PHOTOGRAPHS / name / "test"), "--camera", name)
    line.wait_drained(600)

    results = line.results()
    assert Counter(result.camera_id for result in results.values()) == {n: len(pictures[n]) for n in DATASETS}
    assert line.dead_letters() == []
    assert {result.mode for result in results.values()} == {ScoreMode.BANK}
    anomalous = sorted(i for i, result in results.items() if result.pred_label is PredLabel.ANOMALOUS)
    assert sorted(alert.frame_id for alert in line.alerts()) == anomalous
    assert 0 < len(anomalous) < len(results)
