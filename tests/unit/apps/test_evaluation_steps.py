"""Lines of progress where no terminal is, with a clock of their own."""

from __future__ import annotations

import pytest

from inspector.apps.evaluate.steps import Steps


def test_each_step_is_a_line_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    moments = iter([0.0, 120.0, 140.0])
    steps = Steps(100, clock=lambda: next(moments))
    steps.begin("one", 40)
    steps.begin("two", 40)
    steps.begin("three", 20)
    assert capsys.readouterr().err.splitlines() == ["one", "two; about 3 min left", "three; about 35 s left"]


def test_steps_of_an_earlier_run_do_not_make_the_rest_look_quick(capsys: pytest.CaptureFixture[str]) -> None:
    moments = iter([0.0, 60.0])
    steps = Steps(4, clock=lambda: next(moments))
    steps.begin("was there")
    steps.was_there()
    steps.begin("first")
    steps.begin("second")
    assert capsys.readouterr().err.splitlines() == ["was there", "first", "second; about 2 min left"]
