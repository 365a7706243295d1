"""Rows of the fault matrix: a sample of them small, all of them at full size behind `long`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_of_three import Cluster, running_cluster
from faults_inspectors import KilledAt, StoppedAt
from faults_servers import BrokerKilled, RedisKilled
from matrix_rows import ROWS, SHORT_SESSION
from results import RESULTS, played, update
from scenario import Row

from inspector.pipeline.milestones import Milestone

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

# Shorter than a line's, so that a sample takes minutes.
_OPTIONS = (SHORT_SESSION,)

SAMPLE = (
    Row("killed at every point", lambda _: KilledAt(tuple(Milestone), _OPTIONS), 7, 600, gap_s=1),
    Row("zombie", lambda _: StoppedAt((Milestone.STORED,), 6, 6, _OPTIONS), times=1, frames=600, gap_s=1),
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
    line = played(row, cluster, tmp_path / "row")
    print(line)
    assert line.clean, line


@pytest.mark.long
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("row", ROWS, ids=named)
def test_every_row_at_full_size_and_its_line_in_the_table(cluster: Cluster, row: Row, tmp_path: Path) -> None:
    line = played(row, cluster, tmp_path / "row")
    update(RESULTS, line)
    print(line)
    assert line.clean, line
