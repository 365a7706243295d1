"""The table of results says what was run, and only that."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from faults_servers import RedisKilled
from findings import Findings, Kind
from matrix_rows import ROWS
from results import line_of, read, update
from results_timing import Timing, timing
from scenario import Row, RowResult

from inspector.domain.frame import FrameSource
from inspector.pipeline.ports import LogRecord

ROW = next(row for row in ROWS if row.name == "redis killed")


def result(row: Row = ROW, times: int = 2, **found: int) -> RowResult:
    findings = Findings(frames=500, counts=Counter({Kind(kind): count for kind, count in found.items()}))
    return RowResult(row, RedisKilled().how, times, findings, Timing(4.0, 2.5), [])


def test_rows_that_were_not_run_say_so_and_rows_that_were_keep_their_line(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    update(path, line_of(result(), brokers=3))
    other = next(row for row in ROWS if row.name == "zombie")
    update(path, line_of(result(other, duplicated=3), brokers=1))
    lines = {line.fault: line for line in read(path.read_text())}
    assert list(lines) == [row.name for row in ROWS]
    assert lines[ROW.name].verdict == "clean"
    assert (lines[ROW.name].times, lines[ROW.name].frames) == ("2 of 50", "500 of 8000 (20 kB)")
    assert lines["zombie"].verdict.startswith("NOT CLEAN")
    assert lines["zombie"].duplicates == "3"
    assert lines["slow link"].verdict == "not run"
    assert not lines["slow link"].clean


@pytest.mark.parametrize("wrong", [{"times": 0}, {"lost": 1}, {"missing_result": 1}])
def test_a_row_without_a_fault_or_with_a_finding_is_not_clean(wrong: dict[str, int]) -> None:
    assert not line_of(result(**wrong), brokers=3).clean


def test_a_pause_is_the_longest_silence_of_a_partition_and_recovery_waits_for_the_last_one() -> None:
    def committed(partition: int, *moments_s: float) -> list[LogRecord]:
        return [
            LogRecord(FrameSource("alerts", partition, offset), int(1000 * moment), None, None)
            for offset, moment in enumerate(moments_s)
        ]

    outcomes = [*committed(0, 1, 2, 9, 10), *committed(1, 1, 4, 12), *committed(2, 1, 2)]
    # Partition 0 is back 4 s after the fault, partition 1 after 7 s, partition 2 had nothing more to say.
    assert timing(outcomes, healed_at_s=[5.0]) == Timing(longest_pause_s=8.0, recovery_s=7.0)
    assert timing([], [5.0]) == Timing(None, None)
