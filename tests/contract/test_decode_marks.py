"""One suite for every store of decode marks: only a mark that another life left behind counts, and no zombie marks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspector.adapters.memory.decode_marks import MarkBook, MemoryDecodeMarks
from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.decode_marks import RedisDecodeMarks
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.frame import FrameSource
from inspector.pipeline.ports import NO_TAG, DecodeMarks, FencedError, Marked, Unmark

NewLife = Callable[[], DecodeMarks]


def frames(*offsets: int, partition: int = 0) -> list[FrameSource]:
    return [FrameSource("frames", partition, offset) for offset in offsets]


def over(*marked: Marked) -> list[Unmark]:
    return [Unmark(each.source, each.tag) for each in marked]


def deaths(marked: object) -> list[int]:
    return [each.deaths for each in marked]  # type: ignore[attr-defined]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
def new_world(request: pytest.FixtureRequest) -> Iterator[Callable[[], NewLife]]:
    """Makes worlds; a world makes lives that see each other's marks."""
    clients: list[redis.Redis] = []

    def make() -> NewLife:
        if request.param == "memory":
            book = MarkBook()
            return lambda: MemoryDecodeMarks(book)
        client = connect(request.getfixturevalue("services").redis_url)
        clients.append(client)
        group = f"t-{uuid.uuid4().hex[:12]}"
        return lambda: RedisDecodeMarks(client, group_id=group)

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def new_life(new_world: Callable[[], NewLife]) -> NewLife:
    return new_world()


def test_a_mark_left_by_another_life_is_a_death_and_one_taken_back_is_none(new_life: NewLife) -> None:
    first = new_life()
    marked = first.mark(frames(1, 2, 3), 1)
    assert deaths(marked) == [0, 0, 0]
    first.unmark(over(marked[1]))
    assert deaths(new_life().mark(frames(1, 2, 3, 4), 2)) == [1, 0, 1, 0]


def test_ones_own_marks_are_no_deaths(new_life: NewLife) -> None:
    life = new_life()
    life.mark(frames(1, 2), 1)
    assert deaths(life.mark(frames(1, 2), 2)) == [0, 0]


def test_a_suspect_is_marked_only_alone_and_each_such_death_counts(new_life: NewLife) -> None:
    new_life().mark(frames(7), 1)
    for met in (1, 2, 3):
        life = new_life()
        assert deaths(life.mark(frames(7), 1)) == [met]  # looked up, not marked:
        assert deaths(life.mark(frames(7), 1)) == [met]
        assert deaths(life.mark(frames(7), 1, alone=True)) == [met]


def test_a_suspect_that_was_decoded_is_forgotten_and_one_withdrawn_keeps_its_deaths(new_life: NewLife) -> None:
    new_life().mark(frames(1, 2), 1)
    life = new_life()
    life.mark(frames(1, 2), 1)
    decoded, _ = life.mark(frames(1, 2), 1, alone=True)
    life.unmark(over(decoded))
    life.withdraw()
    assert deaths(new_life().mark(frames(1, 2), 1)) == [0, 1]


def test_withdrawing_takes_all_marks_back(new_life: NewLife) -> None:
    life = new_life()
    life.mark([*frames(1, 2), *frames(5, partition=1)], 1)
    life.withdraw()
    assert deaths(new_life().mark([*frames(1, 2), *frames(5, partition=1)], 1)) == [0, 0, 0]


def test_a_late_unmark_does_not_take_a_newer_mark_back(new_life: NewLife) -> None:
    life = new_life()
    old = life.mark(frames(1), 1)
    life.mark(frames(1), 1)
    life.unmark(over(*old))
    assert deaths(new_life().mark(frames(1), 1)) == [1]


def test_what_is_over_goes_in_the_same_call(new_life: NewLife) -> None:
    life = new_life()
    life.mark(frames(2), 1, over(*life.mark(frames(1), 1)))
    assert deaths(new_life().mark(frames(1, 2), 1)) == [0, 1]


def test_deaths_of_a_settled_frame_can_be_forgotten_by_whoever_settled_it(new_life: NewLife) -> None:
    new_life().mark(frames(1), 1)
    life = new_life()
    life.mark(frames(1), 1)
    life.unmark([Unmark(frames(1)[0], NO_TAG)])
    assert deaths(life.mark(frames(1), 1)) == [0]


def test_marks_of_frames_that_were_settled_meanwhile_are_forgotten(new_life: NewLife) -> None:
    new_life().mark(frames(1, 2, 3), 1)
    life = new_life()
    assert deaths(life.mark(frames(3, 4), 2)) == [1, 0]  # so frames before the third are committed
    life.mark(frames(5), 2)  # and nothing below it is forgotten under the same generation
    assert deaths(new_life().mark(frames(1, 2, 3, 4), 2)) == [0, 0, 1, 1]


def test_an_older_owner_is_fenced_and_marks_nothing(new_life: NewLife) -> None:
    new_life().mark(frames(1), 5)
    zombie = new_life()
    with pytest.raises(FencedError):
        zombie.mark(frames(9), 4)
    assert deaths(new_life().mark(frames(9), 5)) == [0]
    assert deaths(zombie.mark(frames(9, partition=1), 4)) == [0]  # its other partitions are its own


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(st.sampled_from(["mark", "alone", "over", "withdraw", "die"]), st.integers(0, 3))))
def test_real_and_remembered_marks_tell_the_same(new_world: Callable[[], NewLife], acts: list[tuple[str, int]]) -> None:
    world, book = new_world(), MarkBook()
    subject, model = world(), MemoryDecodeMarks(book)
    set_by_subject: dict[int, Marked] = {}
    set_by_model: dict[int, Marked] = {}
    for act, offset in acts:
        if act in ("mark", "alone"):
            (told,) = subject.mark(frames(offset), 1, alone=act == "alone")
            (expected,) = model.mark(frames(offset), 1, alone=act == "alone")
            assert told.deaths == expected.deaths
            set_by_subject[offset], set_by_model[offset] = told, expected
        elif act == "over" and offset in set_by_subject:
            subject.unmark(over(set_by_subject[offset]))
            model.unmark(over(set_by_model[offset]))
        elif act == "withdraw":
            subject.withdraw()
            model.withdraw()
        elif act == "die":
            subject, model = world(), MemoryDecodeMarks(book)


@pytest.mark.services
def test_marks_expire_and_hold_nothing_once_all_is_over(request: pytest.FixtureRequest) -> None:
    client = connect(request.getfixturevalue("services").redis_url)
    group = f"t-{uuid.uuid4().hex[:12]}"
    life = RedisDecodeMarks(client, group_id=group)
    marked = life.mark(frames(1, 2), 1)
    assert 0 < client.ttl(keys.decoding(group, "frames", 0)) <= 7 * 24 * 3600  # type: ignore[operator]
    life.unmark(over(*marked))
    assert not client.exists(keys.decoding(group, "frames", 0))
    client.close()


@pytest.mark.services
def test_a_suspect_that_is_set_aside_takes_no_memory(request: pytest.FixtureRequest) -> None:
    client = connect(request.getfixturevalue("services").redis_url)
    group = f"t-{uuid.uuid4().hex[:12]}"
    RedisDecodeMarks(client, group_id=group).mark(frames(1, 2), 1)
    life = RedisDecodeMarks(client, group_id=group)
    assert deaths(life.mark(frames(1, 2), 1)) == [1, 1]
    assert life._held == {}
    (alone,) = life.mark(frames(1), 1, alone=True)
    assert list(life._held) == frames(1)
    life.unmark([*over(alone), Unmark(frames(2)[0], NO_TAG)])
    assert life._held == {}
    client.close()


@pytest.mark.services
def test_a_server_that_has_lost_the_scripts_gets_them_again(request: pytest.FixtureRequest) -> None:
    client = connect(request.getfixturevalue("services").redis_url)
    group = f"t-{uuid.uuid4().hex[:12]}"
    life = RedisDecodeMarks(client, group_id=group)
    client.script_flush()
    marked = life.mark(frames(1, 2), 1)
    client.script_flush()
    life.unmark(over(marked[0]))
    client.script_flush()
    assert deaths(RedisDecodeMarks(client, group_id=group).mark(frames(1, 2), 1, over(marked[0]))) == [0, 1]
    client.close()


def test_a_server_that_is_away_is_waited_for_and_stops_no_exit() -> None:
    client = redis.Redis(port=1, socket_connect_timeout=1)
    life = RedisDecodeMarks(client, group_id="g")
    with pytest.raises(ServiceUnavailableError):
        life.mark(frames(1), 1)
    life.withdraw()
    client.close()
