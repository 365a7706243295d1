"""The trainer's lock on a real Redis: one holder, rising tokens, nobody locked out by a dead one or a wrong clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import redis
from local_services import Services

from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.trainer_lock import Busy, KeptLease, Lease, TrainerLock
from inspector.adapters.redis.trainer_runs import MOST_RUNS, RedisTrainerRuns
from inspector.pipeline.ports import FencedError

pytestmark = pytest.mark.services
DATABASE = 7  # there is one trainer to a database
KEYS = (keys.TRAINER_LOCK, keys.TRAINER_TOKEN, keys.TRAINER_RUNS)


@pytest.fixture
def client(services: Services) -> Iterator[redis.Redis]:
    url = f"{services.redis_url.rstrip('/').removesuffix('/0')}/{DATABASE}"
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
