"""A group is asked again where its coordinator is still being made, and not where it was refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kafka import errors
from kafka.structs import OffsetAndMetadata, TopicPartition

from inspector.adapters.kafka import group_offsets as module
from inspector.adapters.kafka.group_offsets import group_offsets

PARTITION = TopicPartition("frames", 0)


class Admin:
    """Answers as a broker did: first with each of ``refusals``, then with an offset."""

    def __init__(self, *refusals: Exception) -> None:
        self.refusals: Iterator[Exception] = iter(refusals)

    def list_group_offsets(self, asked: dict[str, list[TopicPartition]]) -> dict[str, dict[TopicPartition, Any]]:
        for refusal in self.refusals:
            raise refusal
        return {group: {each: OffsetAndMetadata(7, "", None) for each in known} for group, known in asked.items()}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ASK_AGAIN_S", 0)


def test_a_group_is_asked_again_while_its_coordinator_is_made() -> None:
    admin = Admin(errors.CoordinatorNotAvailableError(), errors.CoordinatorLoadInProgressError())
    assert group_offsets(admin, "nobody", [PARTITION])[PARTITION].offset == 7


def test_a_refusal_is_told_at_once() -> None:
    with pytest.raises(errors.GroupAuthorizationFailedError):
        group_offsets(Admin(errors.GroupAuthorizationFailedError()), "nobody", [PARTITION])


def test_a_coordinator_that_never_comes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COORDINATED_WITHIN_S", -1)
    with pytest.raises(errors.CoordinatorNotAvailableError):
        group_offsets(Admin(errors.CoordinatorNotAvailableError()), "nobody", [PARTITION])
