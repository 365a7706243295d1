"""When the trainer runs: by corrections, by time, and not for ever in vain when a clock was wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from inspector.domain.trainer_run import TrainerOutcome, TrainerRun
from inspector.training.refresh.due import Known, due

NOW = datetime(2026, 11, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)


def ended(ago: timedelta) -> TrainerRun:
    return TrainerRun("r1", TrainerOutcome.REFUSED, NOW - ago, NOW - ago, "t1", 1, "w1")


@pytest.mark.parametrize(
    ("known", "run", "word"),
    [
        (Known(None, 0), True, "no run before"),
        (Known(ended(timedelta(hours=1)), 19), False, "19 of 20"),
        (Known(ended(timedelta(hours=1)), 20), True, "20 new corrections"),
        (Known(ended(timedelta(hours=25)), 0), True, "25.0 h since"),
        (Known(ended(timedelta(hours=-30)), 0), True, "a clock jumped"),
        (Known(ended(timedelta(hours=1)), 0, ("mallory",)), True, "mallory"),
        (Known(ended(timedelta(hours=1)), 0, newly_drifted=("cam1", "cam2")), True, "drift of camera cam1, cam2"),
    ],
)
def test_reasons(known: Known, run: bool, word: str) -> None:
    found = due(known, 20, DAY, NOW)
    assert found.run is run
    assert word in found.reason
