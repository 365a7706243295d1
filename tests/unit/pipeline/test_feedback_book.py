"""A feedback book says the same whatever the order in which it was told, and averages nobody's word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.domain.defect import Box
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.result import PredLabel
from inspector.pipeline.feedback_book import FeedbackBook

NOW = datetime(2026, 11, 29, 8, tzinfo=UTC)
MASK = "ab" * 32
FALSE_ALARM = Feedback(
    "f1", "cam1", "w1", FeedbackVerdict.WRONG, "anna", NOW, PredLabel.ANOMALOUS, pred_type="scratch"
)  # fmt: skip
DENT = replace(FALSE_ALARM, defect_type="dent")
RIGHT = replace(FALSE_ALARM, verdict=FeedbackVerdict.RIGHT)
LATER = NOW + timedelta(minutes=1)

words = st.builds(
    lambda said, frame, person, version, minutes, note: replace(
        said,
        frame_id=frame,
        person=person,
        weights_version=version,
        given_at=NOW + timedelta(minutes=minutes),
        note=note,
    ),
    st.sampled_from((FALSE_ALARM, DENT, RIGHT, replace(DENT, boxes=(Box(1, 2, 3, 4),)))),
    st.sampled_from(("f1", "f2")),
    st.sampled_from(("anna", "bert")),
    st.sampled_from(("w1", "w2")),
    st.integers(0, 3),
    st.sampled_from(("", "a", "b")),
)


def told(*feedback: Feedback) -> FeedbackBook:
    book = FeedbackBook()
    for one in feedback:
        book.add(one)
    return book


def everything(book: FeedbackBook) -> tuple[object, ...]:
    return book.settled(), book.conflicts(), book.by_person(), len(book)


@given(st.lists(words, max_size=12), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_matters(said: list[Feedback], random: object) -> None:
    shuffled = said + said[: len(said) // 2]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert everything(told(*said)) == everything(told(*shuffled))


@given(st.lists(words, max_size=12))
def test_every_frame_is_either_settled_or_in_conflict(said: list[Feedback]) -> None:
    book = told(*said)
    assert book.settled().keys().isdisjoint(book.conflicts())
    assert book.settled().keys() | book.conflicts().keys() == {one.frame_id for one in said}


@pytest.mark.parametrize("order", [1, -1])
def test_the_later_word_of_a_person_wins_whenever_it_arrives(order: int) -> None:
    changed_mind = replace(DENT, given_at=LATER)
    book = told(*[FALSE_ALARM, changed_mind][::order])
    assert book.settled() == {"f1": changed_mind}
    assert len(book) == 1


def test_a_word_on_newer_weights_replaces_the_persons_older_one_on_the_frame() -> None:
    of_new_weights = replace(RIGHT, weights_version="w2", pred_type="dent", given_at=LATER)
    book = told(of_new_weights, FALSE_ALARM)
    assert book.settled() == {"f1": of_new_weights}
    assert book.by_person() == {"anna": (FALSE_ALARM, of_new_weights)}


def test_people_who_differ_are_both_kept_and_neither_is_used() -> None:
    bert = replace(DENT, person="bert", given_at=LATER)
    book = told(bert, FALSE_ALARM)
    assert book.settled() == {}
    assert book.conflicts() == {"f1": (FALSE_ALARM, bert)}


def test_a_majority_does_not_settle_a_conflict() -> None:
    book = told(FALSE_ALARM, replace(DENT, person="bert"), replace(DENT, person="cleo"))
    assert book.settled() == {}
    assert len(book.conflicts()["f1"]) == 3


def test_a_conflict_ends_when_one_gives_in() -> None:
    gives_in = replace(FALSE_ALARM, person="bert", given_at=LATER)
    book = told(gives_in, replace(DENT, person="bert"), FALSE_ALARM)
    assert book.conflicts() == {}
    assert book.settled() == {"f1": gives_in}


def test_who_calls_the_verdict_right_agrees_with_who_named_what_newer_weights_say() -> None:
    bert = replace(RIGHT, person="bert", weights_version="w2", pred_type="Dent", given_at=LATER)
    assert told(DENT, bert).settled() == {"f1": bert}


def test_of_those_who_agree_the_most_exact_word_is_the_settled_one() -> None:
    boxed = replace(DENT, person="bert", boxes=(Box(1, 2, 3, 4),))
    masked = replace(DENT, person="cleo", mask_version=MASK)
    plain = replace(DENT, given_at=LATER)
    assert told(boxed, plain, masked).settled() == {"f1": masked}
    assert told(boxed, plain).settled() == {"f1": boxed}


def test_words_of_the_same_moment_are_told_apart_without_regard_to_order() -> None:
    one, other = replace(DENT, note="a"), replace(DENT, note="b")
    assert told(one, other).settled() == told(other, one).settled()


def test_a_name_in_other_letters_is_the_same_person_whose_later_word_counts() -> None:
    again = replace(RIGHT, person="ANNA", given_at=LATER)
    book = told(DENT, again)
    assert book.conflicts() == {}
    assert book.of_frame("f1") == (again,)
    assert book.name(again) == "anna"
    assert len(told(DENT, replace(RIGHT, person="bert")).without({"Bert"})) == 1


def test_asking_for_frame_after_frame_does_not_sort_the_whole_book_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sorts: list[int] = []
    real = FeedbackBook._in_order
    monkeypatch.setattr(FeedbackBook, "_in_order", lambda book: (sorts.append(1), real(book))[1])
    book = told(*(replace(FALSE_ALARM, frame_id=f"f{i}") for i in range(30)))
    assert len([word for i in range(30) for word in book.of_frame(f"f{i}")]) == 30
    assert len(sorts) == 1
    book.add(replace(FALSE_ALARM, frame_id="late"))
    assert book.of_frame("late")
