"""A decode that ends the process is found out and set aside; nothing else that ends it costs a frame."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from loop_kit import DEFECT, GOOD, HANGING, World

from inspector.adapters.memory.decode_marks import MarkBook, MemoryDecodeMarks
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.frame import FrameSource
from inspector.pipeline.decode_stage import MAX_DEATHS, StuckError
from inspector.pipeline.loop import InspectionLoop
from inspector.pipeline.ports import NO_TAG, Marked, Polled, Unmark


class Killed(Exception):
    pass


def live(world: World, until: Callable[[], bool] | None = None) -> bool:
    """Play one life of an inspector; tell whether it reached its end."""
    try:
        world.run(world.loop(score_timeout_s=2.0, lone_decode_timeout_s=1.0), until)
    except StuckError:
        return False
    finally:
        world.logs[-1].close()
    return True


def test_a_decode_that_ends_the_process_three_times_is_a_dead_letter_and_its_batch_is_served() -> None:
    world = World()
    images = [DEFECT if n % 3 == 0 else GOOD for n in range(24)]
    images[5] = HANGING
    world.publish(images)
    lives = 1
    while not live(world):
        lives += 1
        assert lives < 10
    world.engine.released.set()
    assert lives == MAX_DEATHS + 1
    assert world.dead() == [("f0005", "decoder_crash")]
    (letter,) = world.broker.committed_records("dead")
    headers = dict(letter.headers)
    assert headers["attempts"] == str(MAX_DEATHS).encode()
    assert letter.value == HANGING
    assert Counter(world.alerts()) == Counter(f"f{n:04}" for n in range(24) if images[n] == DEFECT)
    assert len(world.store.arrivals) == 23
    assert all(deaths == 0 for deaths, _ in world.marks.marks.values())


def test_two_such_frames_in_one_batch_are_told_from_their_neighbours() -> None:
    world = World()
    images = [GOOD] * 16
    images[2] = images[6] = HANGING
    world.publish(images)
    lives = 1
    while not live(world):
        lives += 1
        assert lives < 20
    world.engine.released.set()
    assert sorted(world.dead()) == [("f0002", "decoder_crash"), ("f0006", "decoder_crash")]
    assert len(world.store.arrivals) == 14


class Mortal(MemoryDecodeMarks):
    """A life that is killed between two steps, right after a lone mark, or when marks are to be taken back.

    It is spared where one death more would set a suspect aside: three deaths that meet a frame are not a good one's.
    """

    def __init__(self, book: MarkBook, how: str) -> None:
        super().__init__(book)
        self.how = how
        self._is_dead = False
        self._met = 0

    def die(self) -> None:
        if self._met < 2:
            self._is_dead = True
            raise Killed

    def mark(
        self, sources: Sequence[FrameSource], fencing_token: int, over: Sequence[Unmark] = (), *, alone: bool = False
    ) -> Sequence[Marked]:
        marked = super().mark(sources, fencing_token, over, alone=alone)
        self._met = marked[0].deaths if alone else 0
        if alone and self.how == "at a lone mark":
            self.die()
        return marked

    def unmark(self, over: Sequence[Unmark]) -> None:
        if self._is_dead:
            raise ServiceUnavailableError("a dead process's store", "nobody asks", "start another")
        if over and self.how == "before marks are taken back":
            self.die()
        super().unmark(over)
        self._met = 0


HOW = st.sampled_from(["in order", "between steps", "at a lone mark", "before marks are taken back"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(1, 30), HOW), max_size=12))
@example([(9, "before marks are taken back"), (9, "at a lone mark"), (9, "at a lone mark")])
@example([(9, "before marks are taken back"), (9, "before marks are taken back"), (9, "between steps")] * 3)
def test_no_number_of_kills_costs_a_good_frame(lives: list[tuple[int, str]]) -> None:
    """A life ends after so many steps at the latest, with a chance to take its marks back or, killed, without one."""
    world = World()
    images = [DEFECT if n % 3 == 0 else GOOD for n in range(40)]
    world.publish(images)
    for number, (steps, how) in enumerate(lives):
        mortal = Mortal(world.marks, how)
        world.new_life = lambda _, mortal=mortal: mortal  # type: ignore[misc]
        left = steps

        def until(mortal: Mortal = mortal) -> bool:
            nonlocal left
            left -= 1
            if left < 0 and mortal.how == "in order":
                raise Killed
            if left < 0:
                mortal.die()
            return world.drained()

        try:
            world.run(world.loop(f"r{number}"), until)
        except Killed:
            world.logs[-1].close()
    world.new_life = MemoryDecodeMarks
    assert live(world)
    assert world.dead() == []
    assert Counter(world.alerts()) == Counter(f"f{n:04}" for n in range(40) if images[n] == DEFECT)


def test_frames_wait_while_marks_cannot_be_set() -> None:
    world = World()
    world.publish([GOOD] * 20)
    loop = world.loop()
    world.lives[-1].outage.plan(8)
    world.run(loop)
    assert world.troubles.count("redis is away") >= 8
    assert len(world.store.arrivals) == 20
    assert world.dead() == []


@pytest.mark.parametrize("trouble", ["the group changes", "the brokers are away"])
def test_a_frame_that_was_decoded_is_not_marked_any_more_whatever_the_group_does(trouble: str) -> None:
    world = World()
    world.publish([HANGING, GOOD, GOOD, GOOD])
    loop = world.loop()
    step_until(loop, lambda: len(world.marks.marks) == 4)
    if trouble == "the group changes":
        world.logs[-1].poll = lambda *_: Polled((), None)  # type: ignore[method-assign]
    else:
        world.logs[-1].rebuild = away  # type: ignore[method-assign]
        loop._must_rebuild = True
    world.engine.released.set()
    step_until(loop, lambda: not world.marks.marks)


def away() -> None:
    raise ServiceUnavailableError("Kafka", "a planned outage", "call again")


def test_a_batch_that_is_stuck_leaves_no_mark_on_frames_that_were_decoded() -> None:
    world = World()
    world.engine.hold = threading.Event()
    world.publish([GOOD] * 12)
    try:
        with pytest.raises(StuckError, match="in time to stop"):
            world.run(world.loop(), lambda: bool(world.marks.marks))
    finally:
        world.engine.hold.set()
    assert world.marks.marks == {}


def test_of_frames_decoded_together_only_the_one_that_hangs_stays_marked() -> None:
    world = World()
    world.publish([HANGING, GOOD, GOOD, GOOD])
    assert not live(world)
    world.engine.released.set()
    assert len(world.marks.marks) == 1


def test_the_group_is_kept_while_a_suspect_is_decoded_and_it_is_served_when_it_comes_back() -> None:
    world = World()
    world.publish([HANGING, GOOD, GOOD, GOOD])
    assert not live(world)
    loop = world.loop("r2")
    step_until(loop, lambda: any(deaths for deaths, tag in world.marks.marks.values() if tag != NO_TAG))
    polls = Counter[str]()
    poll = world.logs[-1].poll

    def counted(timeout_s: float, max_records: int) -> Polled:
        polls["polls"] += 1
        return poll(timeout_s, max_records)

    world.logs[-1].poll = counted  # type: ignore[method-assign]
    step_until(loop, lambda: polls["polls"] >= 3)
    assert "f0000" not in world.store.arrivals
    world.broker.rebalance("g")  # what is decoded now is thrown away, and its frame taken again
    step_until(loop, lambda: polls["polls"] >= 6)
    world.engine.released.set()
    world.run(loop)
    assert len(world.store.arrivals) == 4
    assert world.marks.marks == {}


def step_until(loop: InspectionLoop, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline, "the loop did not get there"
        loop.step()


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_suspect_that_is_decoded_has_nothing_held_against_it(deaths: int) -> None:
    world = World()
    world.publish([HANGING, GOOD])
    for _ in range(deaths):
        assert not live(world)
    world.engine.released.set()  # whatever ended those processes, it was not the frame
    assert live(world)
    assert world.dead() == []
    assert len(world.store.arrivals) == 2
    assert world.marks.marks == {}
