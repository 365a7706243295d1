"""One suite for every store of what inspectors tell of versions on trial."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inspector.adapters.memory.rollout_store import MemoryRolloutStore
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.rollout_store import RedisRolloutStore
from inspector.pipeline.comparison import Comparison, Difference
from inspector.pipeline.rollout import Watched
from inspector.pipeline.rollout_ports import Standing

Store = MemoryRolloutStore | RedisRolloutStore


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryRolloutStore()
        return
    client = connect(request.getfixturevalue("services").redis_url)
    yield RedisRolloutStore(client)
    client.close()


@pytest.fixture
def version() -> str:
    return uuid.uuid4().hex


def test_the_first_reason_of_a_veto_stays_and_a_person_lifts_it(store: Store, version: str) -> None:
    assert store.vetoes([version]) == {}
    store.veto(version, "too many alarms", "a")
    store.veto(version, "another reason", "b")
    assert store.vetoes([version, "unknown"]) == {version: "too many alarms"}
    store.lift(version)
    assert store.vetoes([version]) == {}
    assert store.vetoes([]) == {}


def test_tries_that_never_ended_are_counted_for_each_inspector(store: Store, version: str) -> None:
    assert [store.begin_trial(version, "a") for _ in range(3)] == [1, 2, 3]
    assert store.begin_trial(version, "b") == 1
    store.end_trial(version, "a", passed=False)
    assert store.begin_trial(version, "a") == 1
    store.end_trial(version, "a", passed=True)
    assert [store.begin_trial(version, "a") for _ in range(5)] == [0] * 5
    store.end_trial(version, "a", passed=False)  # an orderly end of a later life takes nothing back
    assert store.begin_trial(version, "a") == 0
    assert store.begin_trial(version, "b") == 2
    store.lift(version)
    assert store.begin_trial(version, "b") == 1


def test_how_a_version_fares_is_kept_for_each_inspector(store: Store, version: str) -> None:
    store.report(version, "b", Standing(refused="not finite"))
    store.report(version, "a", Standing(refused="no memory"))
    store.report(version, "a", Standing(5_000_000))
    found = store.standings(version)
    assert {replica: replace(each, said_at=None) for replica, each in found.items()} == {
        "a": Standing(5_000_000),
        "b": Standing(refused="not finite"),
    }
    moments = [each.said_at for each in found.values()]
    assert all(said is not None and timedelta(0) <= store.now() - said < timedelta(minutes=1) for said in moments)
    store.lift(version)
    assert store.standings(version) == {}


def test_figures_add_up_and_differences_come_latest_first(store: Store, version: str) -> None:
    trial = Watched(version, "v0", datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC))
    assert store.found(trial) == Comparison()
    one = Comparison(10, 1, 0, 8, 2, 1, 0, 0.25, 0.5)
    seen = [Difference(f"f{n}", "cam1", 0.9, 0.25, True) for n in range(3)]
    store.add(trial, one, seen[:2])
    store.add(trial, one, seen[2:])
    assert store.found(trial) == one + one
    assert store.found(trial).agreement == 1 - 2 / 16
    assert store.differences(trial, 2) == [seen[2], seen[1]]


def test_figures_of_an_earlier_trial_do_not_count(store: Store, version: str) -> None:
    first = Watched(version, "v0", datetime(2026, 5, 1, tzinfo=UTC))
    store.add(first, Comparison(pairs=600, alarms_subject_only=300), [Difference("f1", "cam1", 0.9, 0.25, True)])
    again = replace(first, since=datetime(2026, 5, 8, tzinfo=UTC))
    assert store.found(again) == Comparison()
    assert store.differences(again, 5) == []
    assert store.found(replace(first, since=None)) == Comparison()
