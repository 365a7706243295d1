"""The trainer's lock on a real Redis: one holder, rising tokens, nobody locked out by a dead one or a wrong clock.

And what it leaves there of its runs, for itself and for who watches it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
from local_services import Services
from prometheus_client.parser import text_string_to_metric_families

from inspector.adapters.redis import keys
from inspector.adapters.redis.artefacts import RedisArtefactStore
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.trainer_lock import Busy, KeptLease, Lease, TrainerLock
from inspector.adapters.redis.trainer_runs import MOST_RUNS, RedisTrainerRuns
from inspector.adapters.telemetry.instruments import Instruments
from inspector.apps import watch
from inspector.domain.errors import BadInputError
from inspector.domain.metrics import Part, metrics_of
from inspector.domain.records import to_json
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun
from inspector.pipeline.ports import FencedError
from inspector.settings import Settings

pytestmark = pytest.mark.services
DATABASE = 7  # there is one trainer to a database
FAILED, REFUSED = TrainerOutcome.FAILED, TrainerOutcome.REFUSED
KEYS = (keys.TRAINER_LOCK, keys.TRAINER_TOKEN, keys.TRAINER_RUNS, keys.TRAINER_LOOKED)


@pytest.fixture
def url(services: Services) -> str:
    return f"{services.redis_url.rstrip('/').removesuffix('/0')}/{DATABASE}"


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    made = connect(url)
    made.delete(*KEYS)
    yield made
    made.delete(*KEYS)
    made.close()


def taken(lock: TrainerLock, holder: str = "one") -> Lease:
    lease = lock.take(holder)
    assert isinstance(lease, Lease), lease
    return lease


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_has_it_and_the_next_one_has_a_higher_token(client: redis.Redis) -> None:
    lock = TrainerLock(client, life_s=60)
    first = taken(lock)
    busy = lock.take("two")
    assert isinstance(busy, Busy)
    assert (busy.holder, 0 < busy.left_s <= 60) == ("one", True)
    assert lock.keep(first)
    assert lock.leave(first)
    second = taken(lock, "two")
    assert second.token > first.token
    assert not lock.keep(first)
    assert not lock.leave(first)
    assert isinstance(lock.take("three"), Busy)


def test_a_lock_that_ran_out_is_kept_again_unless_somebody_took_it(client: redis.Redis) -> None:
    lock = TrainerLock(client, life_s=60)
    first = taken(lock)
    client.delete(keys.TRAINER_LOCK)  # as by a clock that was set forward
    assert lock.keep(first)
    assert isinstance(lock.take("two"), Busy)
    client.delete(keys.TRAINER_LOCK)
    second = taken(lock, "two")
    assert not lock.keep(first)
    client.delete(keys.TRAINER_LOCK)  # the second's too: the first must not come back
    assert not lock.keep(first)
    assert lock.keep(second)


def test_of_two_with_one_name_one_has_it_also_where_redis_forgot_the_first(client: redis.Redis) -> None:
    lock = TrainerLock(client, life_s=60)
    first = taken(lock)
    client.delete(*KEYS)  # as by a failover to a replica that was behind
    second = taken(lock)
    assert (second.token, second.holder) == (first.token, first.holder)
    assert not lock.keep(first)
    assert not lock.leave(first)
    assert lock.keep(second)


def test_a_dead_holder_keeps_others_away_for_a_life_at_most_whatever_its_clock_said(client: redis.Redis) -> None:
    lock = TrainerLock(client, life_s=1)
    taken(lock)
    client.pexpire(keys.TRAINER_LOCK, 86_400_000)  # what is left after a clock was set back by a day
    busy = lock.take("two")
    assert isinstance(busy, Busy)
    assert busy.left_s <= 1
    until(lambda: isinstance(lock.take("two"), Lease))


def test_while_the_block_runs_it_is_kept_and_after_it_anybody_may_have_it(client: redis.Redis) -> None:
    lock = TrainerLock(client, life_s=1)
    with KeptLease(lock, taken(lock)) as held:
        time.sleep(1.5)
        held.confirm()
        assert isinstance(lock.take("two"), Busy)
    taken(lock, "two")


def test_who_lost_it_is_told_before_he_publishes_and_soon_anyway(client: redis.Redis) -> None:
    lock = TrainerLock(client, life_s=1)
    with KeptLease(lock, taken(lock)) as held:
        client.set(keys.TRAINER_LOCK, "99 two")
        with pytest.raises(FencedError):
            held.confirm()
        assert held.lost
    assert client.get(keys.TRAINER_LOCK) == b"99 two"
    client.delete(keys.TRAINER_LOCK)
    with KeptLease(lock, taken(lock)) as held:
        client.set(keys.TRAINER_LOCK, "99 two")
        until(lambda: held.lost)


def test_runs_are_listed_once_the_last_first_and_old_ones_go(client: redis.Redis) -> None:
    runs = RedisTrainerRuns(client)
    for number in range(MOST_RUNS):
        assert runs.add(f"v{number}") == []
    assert runs.add("v5") == []
    assert runs.last(2) == ["v5", f"v{MOST_RUNS - 1}"]
    assert runs.add("new") == ["v0"]
    assert len(runs.last(1000)) == MOST_RUNS


def test_the_watch_tells_of_a_trainer_that_has_ended(client: redis.Redis, url: str) -> None:
    """As a CronJob's has, long before anybody could ask it."""
    runs, artefacts = RedisTrainerRuns(client), RedisArtefactStore(client)
    settings = Settings.model_validate({"redis": {"url": url}})
    made = Instruments(metrics_of(Part.WATCH), with_process=False)
    watch.look_at_trainer(settings, made)
    assert "run_outcome=" not in made.text().decode(), "nothing is told of a trainer that never was"
    noon = datetime(2026, 11, 2, 12, tzinfo=UTC)
    for hour, outcome in enumerate((REFUSED, FAILED, REFUSED)):
        began_at = noon + timedelta(hours=hour)
        run = TrainerRun(f"r{hour}", outcome, began_at, began_at + timedelta(minutes=10 + hour), "t", hour, "w1")
        runs.add(artefacts.put(to_json(run)))
    runs.add("0" * 64)  # a record that is gone
    runs.looked()

    watch.look_at_trainer(settings, made)

    told = {
        (sample.name.removeprefix("inspector_trainer_last_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(made.text().decode())
        for sample in family.samples
    }
    assert told["run_timestamp_seconds", "refused"] == (noon + timedelta(hours=2, minutes=12)).timestamp()
    assert told["run_duration_seconds", "refused"] == 12 * 60
    assert told["run_timestamp_seconds", "failed"] == (noon + timedelta(hours=1, minutes=11)).timestamp()
    assert told["run_duration_seconds", "failed"] == 11 * 60
    assert abs(time.time() - told["look_timestamp_seconds",]) < 60


def test_what_is_no_moment_is_told_as_such(client: redis.Redis) -> None:
    assert RedisTrainerRuns(client).last_look() is None
    client.set(keys.TRAINER_LOOKED, b"yesterday")
    with pytest.raises(BadInputError, match="a moment"):
        RedisTrainerRuns(client).last_look()
