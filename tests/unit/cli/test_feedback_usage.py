"""`inspector feedback`: wrong usage is told before anything is connected, and what was typed is read with care."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest
from command_line import one_line_problem, run

from inspector.apps.feedback import parse_box
from inspector.domain.defect import Box
from inspector.domain.errors import BadInputError

NOWHERE = {"INSPECTOR_REDIS__URL": "redis://127.0.0.1:1/0", "INSPECTOR_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["f1"],
        ["--wrong"],
        ["--right"],
        ["f1", "--wrong", "--right"],
        ["f1", "--right", "--list"],
        ["f1", "--conflicts"],
        ["--list", "--conflicts"],
        ["--list", "--type", "dent"],
        ["--conflicts", "--note", "n"],
        ["cam1", "--list", "--person", "anna"],
    ],
    ids=" ".join,
)
def test_what_does_not_go_together_is_wrong_usage(arguments: list[str]) -> None:
    result = run("feedback", *arguments, env=NOWHERE)
    assert result.exit_code == 2
    assert "Usage: inspector feedback" in result.stderr


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,2,3,4", "1;2;3;4", "1,2,3,", "\x1b[31m"])
def test_a_box_that_is_none_is_told_with_an_example(text: str) -> None:
    with pytest.raises(BadInputError, match="--box 120,80,40,16"):
        parse_box(text)


def test_a_box_may_be_typed_with_spaces() -> None:
    assert parse_box(" 1, 2,3 ,4") == Box(1, 2, 3, 4)


def test_a_box_is_refused_before_anything_is_connected() -> None:
    assert "LEFT,TOP" in one_line_problem(run("feedback", "f1", "--wrong", "--type", "d", "--box", "1", env=NOWHERE))


def test_a_mask_that_is_not_there_or_too_large_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "none.png"
    assert str(missing) in one_line_problem(
        run("feedback", "f1", "--wrong", "--type", "d", "--mask", str(missing), env=NOWHERE)
    )
    large = tmp_path / "large.png"
    large.write_bytes(bytes(2_000))
    limit = {**NOWHERE, "INSPECTOR_LIMITS__MAX_FRAME_BYTES": "1024"}
    told = one_line_problem(run("feedback", "f1", "--wrong", "--type", "d", "--mask", str(large), env=limit))
    assert "at most 1024 bytes" in told


def test_without_a_name_in_the_system_a_person_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert "--person" in one_line_problem(run("feedback", "f1", "--right", env=NOWHERE))


def test_redis_that_is_away_is_told_as_such() -> None:
    assert "Redis" in one_line_problem(run("feedback", "f1", "--right", "--person", "anna", env=NOWHERE))
