from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.apps.console import safe
from inspector.apps.file_names import OutputNames, camera_folder
from inspector.apps.moments import parse_since
from inspector.apps.produce import Pacer
from inspector.domain.errors import BadInputError

ANY_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)
HOSTILE = st.sampled_from(["..", ".", "/etc", "a/../../b", "A", "a", "a.png", "a.jpg", "\x1b[2J", "\u202e", "x" * 300])


@given(st.lists(ANY_TEXT | HOSTILE, min_size=1, max_size=30))
def test_output_names_stay_below_and_never_meet(names: list[str]) -> None:
    given_names = [OutputNames.give(book, Path(name)) for book in [OutputNames()] for name in names]
    assert len({str(name).casefold() for name in given_names}) == len(names)
    for name in given_names:
        assert not name.is_absolute()
        assert not {"..", ".", ""} & set(PurePosixPath(name).parts)
        assert str(name).isascii()
        assert str(name).isprintable()
        assert all(len(part) <= 120 for part in name.parts)


def test_output_names_resemble_the_inputs() -> None:
    names = OutputNames()
    given_names = [str(names.give(Path(text))) for text in ("good/000.png", "bad/000.png", "bad/000.jpg")]
    assert given_names == ["good/000", "bad/000", "bad/000-2"]


@given(ANY_TEXT | HOSTILE, ANY_TEXT | HOSTILE)
def test_two_cameras_never_share_a_spool(first: str, second: str) -> None:
    assert (camera_folder(first) == camera_folder(second)) is (first == second)
    assert Path("spool", camera_folder(first)).parent == Path("spool")


@given(st.text())
def test_nothing_untrusted_reaches_the_terminal_raw(text: str) -> None:
    assert safe(text).isprintable()
    if text.isprintable():
        assert safe(text) == text


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("10m", NOW - timedelta(minutes=10)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-11-24T06:00:00Z", NOW.replace(hour=6)),
        ("2026-11-24T06:00:00+02:00", NOW.replace(hour=4)),
        ("2026-11-24T06:00:00", NOW.replace(hour=6)),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    assert parse_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "10", "-5m", "10 minutes", "2026-13-01", "0001-01-01T00:00:00+14:00"])
def test_moments_that_are_none(text: str) -> None:
    with pytest.raises(BadInputError):
        parse_since(text, NOW)


class FakeClock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now_s += seconds
        return False


def paced(clock: FakeClock, pacer: Pacer, frames: int, work_s: float = 0.0) -> list[float]:
    stop = threading.Event()
    stop.wait = clock.wait  # type: ignore[method-assign, assignment]  # time passes only while it waits
    moments = []
    for _ in range(frames):
        pacer.wait(stop)
        moments.append(clock.now_s)
        clock.now_s += work_s
    return moments


def test_frames_leave_at_the_rate_whatever_they_cost() -> None:
    clock = FakeClock()
    moments = paced(clock, Pacer(10, clock), 50, work_s=0.03)
    assert moments[-1] - moments[0] == pytest.approx(4.9)


def test_a_long_stall_is_followed_by_a_short_burst_only() -> None:
    clock = FakeClock()
    pacer = Pacer(10, clock)
    paced(clock, pacer, 1)
    clock.now_s += 60
    moments = paced(clock, pacer, 30)
    assert sum(moment == moments[0] for moment in moments) <= 12


def test_without_a_rate_nothing_waits() -> None:
    clock = FakeClock()
    paced(clock, Pacer(None, clock), 100)
    assert clock.waits == []
