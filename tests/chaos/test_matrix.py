"""Rows of the fault matrix: a sample of them small, all of them at full size behind `long`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cluster_of_three import Cluster, running_cluster
from faults_inspectors import KilledAt, StoppedAt
from faults_servers import BrokerKilled, RedisKilled
from findings import Kind
from matrix_rows import ROWS
from results import line_of
from scenario import Row, RowResult, run

from inspector.pipeline.milestones import Milestone

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

# Shorter than a line's, so that a sample takes minutes; the rows at full size keep the line's own.
_SHORT_SESSION = "--session-timeout-ms=3000"
_ZOMBIE = StoppedAt((Milestone.STORED,), stop_s=6, worker_options=(_SHORT_SESSION,))

SAMPLE = (
    Row("killed at every point", lambda _: KilledAt(tuple(Milestone), (_SHORT_SESSION,)), 7, 600, gap_s=1),
    Row("zombie", lambda _: replace(_ZOMBIE), times=1, frames=600, gap_s=1),
    Row("broker killed", lambda _: BrokerKilled(away_s=5), times=1, frames=600, gap_s=2),
    Row("redis killed", lambda _: RedisKilled(), times=1, frames=400, gap_s=2),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("chaos") / "cluster") as three:
        yield three


def named(row: Row) -> str:
    return row.name


@pytest.mark.parametrize("row", SAMPLE, ids=named)
def test_a_line_that_is_attacked_loses_nothing_and_repeats_nothing(cluster: Cluster, row: Row, tmp_path: Path) -> None:
    require_clean(run(row, cluster, tmp_path / "row"))


@pytest.mark.long
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("row", ROWS, ids=named)
def test_every_row_at_full_size(cluster: Cluster, row: Row, tmp_path: Path) -> None:
    require_clean(run(row, cluster, tmp_path / "row"))


@pytest.mark.long
def test_a_zombie_is_a_fault_that_bites_where_nothing_seeks_back(cluster: Cluster, tmp_path: Path) -> None:
    """The attack is worth something only if a worker without the defence falls to it."""
    defenceless = replace(_ZOMBIE, worker_options=(_SHORT_SESSION, "--plant=no_reseek"))
    result = run(Row("zombie", lambda _: defenceless, times=2, frames=600, gap_s=1), cluster, tmp_path / "row")
    assert result.findings[Kind.DUPLICATED] + result.findings[Kind.OUT_OF_ORDER] > 0, result.findings.summary()


def require_clean(result: RowResult) -> None:
    print(line_of(result, brokers=3))
    assert result.clean, (result.findings.summary(), result.findings.examples, result.problems)
