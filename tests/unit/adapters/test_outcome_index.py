"""The table of outcomes: it answers what it is asked and no more, and tells when the disk is full."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.adapters.outcome_index import OutcomeIndex
from inspector.domain.errors import BadInputError
from inspector.domain.frame import FrameSource
from inspector.pipeline.reconciliation import Committed, CommittedAlert


@pytest.fixture
def index() -> Iterator[OutcomeIndex]:
    made = OutcomeIndex()
    yield made
    made.close()


def alert(sent_ms: int) -> CommittedAlert:
    return CommittedAlert("f", "cam", 0.9, "w", sent_ms)


def fill(index: OutcomeIndex, letters: int, reason: str) -> None:
    for offset in range(letters):
        index.add_letter(FrameSource("frames", 0, offset), reason)


def test_what_lies_between_the_frames_asked_for_is_not_read(index: OutcomeIndex) -> None:
    fill(index, 3000, "dropped")
    index.add_alert(FrameSource("frames", 0, 7), alert(2))
    index.add_alert(FrameSource("frames", 0, 7), alert(1))
    index.add_alert(FrameSource("frames", 1, 7), alert(3))
    index.seal()
    found = index.of(0, [7, 2999, 5000])
    assert found == {7: Committed((alert(1), alert(2)), ("dropped",)), 2999: Committed((), ("dropped",))}
    assert index.of(0, range(3000)).keys() == set(range(3000))
    assert index.of(0, []) == {}
    assert list(index.alerted_before(0, 8)) == [[7]]


def test_a_full_disk_is_told_in_one_line(index: OutcomeIndex) -> None:
    index._db.execute("PRAGMA max_page_count=8")  # as many as the file has so far, and some
    with pytest.raises(BadInputError, match="TMPDIR"):
        fill(index, 100_000, "dropped" * 100)


def test_no_folder_for_it_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(BadInputError, match="TMPDIR"):
        OutcomeIndex()
