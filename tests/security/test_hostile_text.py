"""Ids, headers and file names of an enemy: refused or shown as escapes, never obeyed by a terminal, a log or a disk."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspector.adapters.cameras.folder import FolderSource
from inspector.adapters.telemetry.logs import configure_logging
from inspector.apps import console
from inspector.apps.file_names import OutputNames, camera_folder, safe_name
from inspector.domain.errors import FrameRejectedError
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Rejected
from inspector.domain.product import CameraSettings
from inspector.domain.text import printable, shortened
from inspector.pipeline import dead_letter, frame_record
from inspector.pipeline.ports import LogRecord

# What text can do to a reader: end a line, move a cursor, write from right to left, end a string, leave a folder.
WEAPONS = (
    "\r\n", "\n{\"level\":\"error\"}", "\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\x7f", "\x00", "\u202e", "\u2066",
    "\u200b", "\u2028", "\ufeff", "\ud800", "\U000e0041", "[bold red]", "[/]", "[link=file:///etc/passwd]x[/link]",
    '"', "'", "\\", "{", "}", "%s", "{0}", "../", "/etc/passwd", "..\\", "C:\\", ".", "~", "$(id)", "`id`", ";", "|",
    "<script>", "A" * 10_240,
)  # fmt: skip

# No deadline: a busy machine is no finding.
calm = settings(deadline=None, max_examples=60)
fixtured = settings(calm, suppress_health_check=[HealthCheck.function_scoped_fixture])
hostile = st.lists(st.one_of(st.sampled_from(WEAPONS), st.text(max_size=8)), min_size=1, max_size=6).map("".join)


def steers(text: str) -> bool:
    """Whether any character of ``text`` could do more than be seen."""
    return any(not char.isprintable() for char in text)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("inspector")
    levels, handlers = (root.level, ours.level), list(root.handlers)
    yield
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    root.handlers[:] = handlers
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@calm
@given(hostile)
def test_text_made_printable_steers_nothing_and_is_lossless(text: str) -> None:
    shown = printable(text)
    assert not steers(shown)
    assert len(shortened(text)) <= 310
    assert not steers(shortened(text))
    if not steers(text):
        assert shown == text


@fixtured
@given(hostile, hostile)
def test_a_log_line_is_one_line_of_json_whatever_it_quotes(event: str, value: str) -> None:
    out = io.StringIO()
    configure_logging(json=True, stream=out)
    structlog.get_logger("inspector.test").warning(event, camera_id=value, raw=value.encode("utf-8", "surrogatepass"))
    text = out.getvalue()
    assert text.count("\n") == 1
    assert not steers(text[:-1])
    assert json.loads(text)["camera_id"] == value


@fixtured
@given(hostile, hostile)
def test_a_line_on_a_terminal_shows_escapes_and_stays_one_line(event: str, value: str) -> None:
    out = Terminal()
    configure_logging(json=False, stream=out)
    structlog.get_logger("inspector.test").warning(event, camera_id=value)
    text = out.getvalue()
    assert text.count("\n") == 1
    assert not steers(re.sub(r"\x1b\[[0-9;]*m", "", text[:-1]))  # its own colours


@fixtured
@given(hostile)
def test_tables_lines_and_json_show_what_they_were_given_and_no_more(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    capsys.readouterr()
    made = console.table("camera")
    made.add_row(console.cell(text))
    console.print_table(made)
    console.lines([text])
    console.print_json({"camera": text})
    console.remark(text)
    out, err = capsys.readouterr()
    assert not any(steers(line) for line in (*out.split("\n"), *err.split("\n")))
    if "[bold red]" in text and len(text) < 100:
        assert "[bold red]" in out  # no markup was read


def record(**headers: bytes) -> LogRecord:
    return LogRecord(FrameSource("frames", 0, 7), 0, None, b"\xff\xd8\xff", tuple(headers.items()))


TEXT_HEADERS = ("frame_id", "camera_id", "line_id", "product", "part_id", "lot", "view", "captured_at", "content_type")


@calm
@given(st.sampled_from(TEXT_HEADERS), hostile)
def test_a_header_is_taken_only_if_it_is_short_and_printable(name: str, text: str) -> None:
    value = text.encode("utf-8", "surrogatepass")
    headers = {"camera_id": b"cam1"} | {name: value}
    try:
        frame = frame_record.parse(record(**headers), lambda _: CameraSettings(), 2**20)
    except FrameRejectedError as refused:
        detail = shortened(refused.detail)
        assert not steers(detail)
        assert len(detail) < 1000
        return
    taken = [value for value in _texts(frame.meta) if value]
    assert all(len(value) <= frame_record.MAX_ID_CHARS and not steers(value) for value in taken)


def _texts(meta: Any) -> list[str]:
    return [value for name in meta.__dataclass_fields__ if isinstance(value := getattr(meta, name), str)]


@calm
@given(st.binary(max_size=600), st.binary(max_size=200), st.binary(max_size=300))
def test_a_dead_letter_of_any_bytes_can_be_written_and_names_only_what_can_be_shown(
    frame_id: bytes, key: bytes, other: bytes
) -> None:
    came = LogRecord(FrameSource("frames", 0, 7), 0, key, b"x", (("frame_id", frame_id), ("reason", other)))
    found = frame_record.peek_ids(came)
    assert not any(steers(text) for text in found if text)
    rejected = _rejected(came, *found)
    letter = dead_letter.encode(rejected, "dead", 1000)
    assert dict(reversed(letter.headers))["reason"] == b"malformed_header"  # ours comes first, theirs cannot replace it


def _rejected(came: LogRecord, frame_id: str | None, camera_id: str | None) -> Rejected:
    from inspector.domain.outcome import RejectReason

    return Rejected(
        source=came.source,
        reason=RejectReason.MALFORMED_HEADER,
        detail="header",
        raw=came.value or b"",
        key=came.key,
        headers=came.headers,
        frame_id=frame_id,
        camera_id=camera_id,
    )


@calm
@given(hostile)
def test_a_file_named_after_others_text_stays_in_its_folder(text: str) -> None:
    base = Path("/out")
    for name in (safe_name(text), camera_folder(text)):
        assert "/" not in name
        assert name not in ("", ".", "..")
        assert not name.startswith(".")
        assert len(name) <= 110
        assert name.isascii()
    # A path that a dataset or a folder holds; NUL cannot be in one.
    given_path = Path(text.replace("\0", "") or "x")
    inside = (base / OutputNames().give(given_path)).resolve()
    assert inside.is_relative_to(base)
    assert inside != base


@calm
@given(hostile, hostile)
def test_two_cameras_never_share_a_folder(one: str, other: str) -> None:
    assert (camera_folder(one) == camera_folder(other)) is (one == other)


FILE_NAMES = (
    "a\nb.jpg", "\x1b[2Jcleared.jpg", "right\u202egpj.exe.jpg", "[bold red]x[-].jpg", "-rf.jpg", "%s%n.jpg",
    "x" * 240 + ".jpg", b"not-utf8-\xff\xfe.jpg", "..hidden.jpg", "$(id).jpg",
    "'quoted' \"twice\".jpg", "c:\\windows\\x.jpg",
)  # fmt: skip


def test_a_folder_camera_passes_on_hostile_file_names_as_printable_text(tmp_path: Path) -> None:
    for name in FILE_NAMES:
        path = bytes(tmp_path) + b"/" + (name if isinstance(name, bytes) else name.encode())
        with open(path, "wb") as file:
            file.write(b"\xff\xd8\xff damaged")
    (tmp_path / "outside.jpg").symlink_to("/etc/passwd")
    reports: list[str] = []
    images = list(FolderSource(tmp_path, lambda: datetime.now(UTC), reports.append))
    assert len(images) == len(FILE_NAMES)  # the dotted one is hidden; the link counts by its name
    assert not any(steers(image.name) for image in images)
    assert not any(steers(line) for line in reports)
