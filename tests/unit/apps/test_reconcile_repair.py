"""What a repair says of itself, with made-up stores: only what was mended counts as mended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from inspector.adapters.kafka.connection import KafkaConnection
from inspector.apps.reconcile_repair import Repairer
from inspector.apps.reconcile_walk import Case
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Inspected
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.ports import OutRecord, StoreStatus
from inspector.pipeline.reconciliation import (
    NOTHING_COMMITTED,
    Finding,
    FindingKind,
    Remedy,
    StoredFrame,
    StoredState,
)
from inspector.settings import Settings

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class _Log:
    def publish(self, records: Sequence[OutRecord]) -> None:
        assert not records


class _Store:
    """The first result of a call is gone since it was looked at."""

    def reindex(self, results: Sequence[Inspected]) -> Sequence[StoreStatus]:
        return [StoreStatus.UNNEEDED, StoreStatus.STORED][: len(results)]


def _case(offset: int) -> Case:
    source = FrameSource("frames", 0, offset)
    result = InspectionResult(
        f"f{offset}", "c", "l", "p", NOW, NOW, 0.2, PredLabel.NORMAL, 0.5, ScoreMode.BANK, "w", "m", source, {}, 9, 9
    )
    finding = Finding(FindingKind.RESULT_NOT_INDEXED, source, f"f{offset}", "c", "?", Remedy.INDEX)
    return Case(finding, None, NOTHING_COMMITTED, StoredFrame(StoredState.NOT_INDEXED, result))


def test_a_result_that_changed_before_it_was_listed_again_is_left() -> None:
    repairer = Repairer(Settings(), KafkaConnection("127.0.0.1:9"), cast(Any, _Log()), cast(Any, _Store()))
    first, second = _case(1), _case(2)
    ((left, reason),) = repairer.mend([first, second])
    assert left is first
    assert "look again" in reason
