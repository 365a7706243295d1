"""A hung step of Kafka's ends the process, whatever becomes of the marks."""

from __future__ import annotations

from typing import Any

import pytest

from inspector.apps import inspect


def test_the_process_ends_though_marks_cannot_be_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    class Marks:
        def withdraw(self) -> None:
            raise RuntimeError("dictionary changed size during iteration")

    marks: Any = Marks()
    monkeypatch.setattr(inspect, "exit_process", lambda: ended.append(True))
    with pytest.raises(RuntimeError):
        inspect._leave(marks)
    assert ended == [True]
