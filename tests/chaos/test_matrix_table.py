"""The table of results says what was run, and only that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import results
from cluster_of_three import Cluster
from faults_servers import RedisKilled
from findings import Findings, Kind
from local_services import Services
from matrix_rows import ROWS
from results import definition, line_of, played, read, update
from results_timing import Timing, timing
from scenario import Row, RowResult

from inspector.domain.frame import FrameSource
from inspector.pipeline.ports import LogRecord

WHERE = "2026-01-01, abc, 3 brokers, a machine"
ROW = next(row for row in ROWS if row.name == "redis killed")


def result(row: Row = ROW, times: int = 2, **found: int) -> RowResult:
    findings = Findings(frames=500, counts=Counter({Kind(kind): count for kind, count in found.items()}))
    return RowResult(row, RedisKilled().how, times, findings, Timing(4.0, 2.5), [])


def total(measure: Callable[[Row], int], *names: str) -> int:
    return sum(measure(row) for row in ROWS if row.name.startswith(names))


def test_the_rows_together_are_as_many_faults_and_frames_as_were_asked_for() -> None:
    kills = ("inspector killed", "large frames, inspector killed", "real model, inspector killed")
    assert total(lambda row: row.times, *kills) >= 300
    assert total(lambda row: row.times, "broker killed") + 3 * total(lambda row: row.times, "all brokers down") >= 20
    assert total(lambda row: row.times, "redis killed") >= 50
    made_up = [row for row in ROWS if not row.real_model]
    assert sum(row.frames for row in made_up if row.frame_bytes == 20_000) >= 100_000
    assert sum(row.frames for row in made_up if row.frame_bytes == 200_000) >= 2_000


def test_a_line_of_a_row_that_has_become_another_says_so_until_it_is_run_again(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    update(path, line_of(result(replace(ROW, times=30)), WHERE))
    line = next(line for line in read(path.read_text()) if line.fault == ROW.name)
    assert (line.times, line.clean) == ("2 of 30", False)
    assert line.verdict == "of another definition of this row: clean"
    update(path, line_of(result(), WHERE))
    assert next(line for line in read(path.read_text()) if line.fault == ROW.name).verdict == "clean"


def test_a_rows_definition_is_the_same_in_every_process_and_another_with_every_change() -> None:
    assert not [row.name for row in ROWS if " at 0x" in repr(row.fault(1.0))], "an address is another in each process"
    longer = replace(ROW, fault=lambda _: RedisKilled(away_s=2))
    assert len({definition(each) for each in (ROW, longer, replace(ROW, rate=61), replace(ROW, gap_s=3))}) == 4


def test_a_row_that_breaks_off_is_a_line_that_is_not_clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> RowResult:
        raise TimeoutError("no more")

    monkeypatch.setattr(results, "run", broken)
    cluster = Cluster(Services("", "", None), cast(Any, None), "", ("kafka-1",))
    line = played(ROW, cluster, tmp_path)
    assert line.verdict == "NOT CLEAN: the row broke off: TimeoutError: no more"
    assert (line.clean, line.times) == (False, "0 of 50")


def test_rows_that_were_not_run_say_so_and_rows_that_were_keep_their_line(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    update(path, line_of(result(), WHERE))
    other = next(row for row in ROWS if row.name == "zombie")
    update(path, line_of(result(other, duplicated=3), WHERE))
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
    assert not line_of(result(**wrong), WHERE).clean


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
