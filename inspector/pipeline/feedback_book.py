"""What people have said of frames: the latest word of each, on which frames they agree, and on which they do not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cached_property

from inspector.domain.feedback import Feedback, person_key
from inspector.domain.records import to_json
from inspector.domain.result import PredLabel


class FeedbackBook:
    """Takes feedback in any order and any number of times; what it says afterwards depends on neither.

    Of one person's words on one frame as judged by one weights version the one given last counts, and of that person's
    words on the frame by any version the same; who writes a name in other letters is the same person. Two people whose
    latest words say different things of what the frame is (its label, or its type) are in conflict: both are kept, and
    neither is used until they agree.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, Feedback] = {}

    def add(self, feedback: Feedback) -> None:
        """Take one piece of feedback."""
        known = self._by_id.get(feedback.feedback_id)
        if known is None or _order(feedback) > _order(known):
            self._by_id[feedback.feedback_id] = feedback
            self.__dict__.pop("_by_frame", None)
            self.__dict__.pop("_names", None)

    def without(self, persons: Collection[str]) -> FeedbackBook:
        """Return the book as if these people had said nothing."""
        left_out = {person_key(person) for person in persons}
        book = FeedbackBook()
        book._by_id = {key: said for key, said in self._by_id.items() if person_key(said.person) not in left_out}
        return book

    def __len__(self) -> int:
        """Return how many different (frame, person, weights version) have been spoken of."""
        return len(self._by_id)

    def settled(self) -> Mapping[str, Feedback]:
        """Return, by frame id, one word for each frame on which all who spoke of it agree.

        Of several that agree it is the one that says most exactly where the defect is (a mask, else boxes), and of
        those the one given last.
        """
        agreed = {frame_id: said for frame_id, said in self._by_frame.items() if not _differ(said)}
        return {frame_id: max(said, key=_exactness) for frame_id, said in agreed.items()}

    def conflicts(self) -> Mapping[str, tuple[Feedback, ...]]:
        """Return, by frame id, the latest word of each person for the frames on which they differ, oldest first."""
        return {frame_id: said for frame_id, said in self._by_frame.items() if _differ(said)}

    def of_frame(self, frame_id: str) -> tuple[Feedback, ...]:
        """Return the latest word of each person on a frame, oldest first."""
        return self._by_frame.get(frame_id, ())

    def by_person(self) -> Mapping[str, tuple[Feedback, ...]]:
        """Return, by person, the latest word on each frame and weights version, oldest first."""
        found: dict[str, list[Feedback]] = {}
        for feedback in self._in_order():
            found.setdefault(feedback.person, []).append(feedback)
        return {person: tuple(said) for person, said in sorted(found.items())}

    def name(self, feedback: Feedback) -> str:
        """Return how the person behind a word wrote his name first."""
        return self._names.get(person_key(feedback.person), feedback.person)

    @cached_property
    def _names(self) -> Mapping[str, str]:
        names: dict[str, str] = {}
        for feedback in self._in_order():
            names.setdefault(person_key(feedback.person), feedback.person)
        return names

    @cached_property
    def _by_frame(self) -> Mapping[str, tuple[Feedback, ...]]:
        latest: dict[str, dict[str, Feedback]] = {}
        for feedback in self._in_order():
            said = latest.setdefault(feedback.frame_id, {})
            who = person_key(feedback.person)
            said.pop(who, None)  # so that a person's place is that of his latest word
            said[who] = feedback
        return {frame_id: tuple(said.values()) for frame_id, said in latest.items()}

    def _in_order(self) -> list[Feedback]:
        return sorted(self._by_id.values(), key=_order)


def _order(feedback: Feedback) -> tuple[datetime, bytes]:
    # Of two given at the same moment the content decides: any rule will do that does not hang on who came first.
    return feedback.given_at, to_json(feedback)


def _truth(feedback: Feedback) -> tuple[PredLabel, str]:
    return feedback.true_label, (feedback.true_type or "").casefold()


def _differ(said: tuple[Feedback, ...]) -> bool:
    return len({_truth(feedback) for feedback in said}) > 1


def _exactness(feedback: Feedback) -> tuple[bool, bool, tuple[datetime, bytes]]:
    return feedback.mask_version is not None, bool(feedback.boxes), _order(feedback)
