"""What a person and a log collector get to read."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from inspector.adapters.telemetry.logs import configure_logging
from inspector.domain.text import printable

HOSTILE = "cam\x1b]0;owned\x07\n2026 forged line\u202e"


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


def log(name: str = "inspector.test") -> Any:
    return structlog.get_logger(name)


def test_off_a_terminal_a_line_is_json_with_what_was_bound_and_utc() -> None:
    out = io.StringIO()
    configure_logging(stream=out)
    with structlog.contextvars.bound_contextvars(camera_id="cam1", frame_id=HOSTILE, weights_version="w1"):
        log().info("frame inspected", score=0.25)
    log().debug("too fine")
    lines = out.getvalue().splitlines()
    assert len(lines) == 1
    record = json.loads(lines[0])
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "event": "frame inspected",
        "level": "info",
        "score": 0.25,
        "camera_id": "cam1",
        "frame_id": HOSTILE,
        "weights_version": "w1",
    }


def test_on_a_terminal_no_value_event_or_traceback_can_steer_it() -> None:
    out = Terminal()
    configure_logging(stream=out)
    log().info(HOSTILE, camera_id=HOSTILE, headers=[HOSTILE], raw=HOSTILE.encode())
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log().exception("failed")
    logging.getLogger("kafka.conn").warning("broker said %s", HOSTILE)
    text = out.getvalue()
    assert "\x07" not in text
    assert "\x1b]" not in text
    assert "\u202e" not in text
    assert "\\x1b]0;owned\\x07" in text
    assert "Traceback" in text
    assert "broker said cam" in text
    assert "\\n2026 forged" in text


def test_the_form_can_be_asked_for() -> None:
    out = Terminal()
    configure_logging(json=True, stream=out)
    log().info("x")
    assert json.loads(out.getvalue())["event"] == "x"
    out = Terminal()
    configure_logging(json=False, level="DEBUG", stream=out)
    log().debug("fine")
    assert "fine" in out.getvalue()


def test_other_libraries_are_heard_from_warning_on_in_the_same_form() -> None:
    out = io.StringIO()
    configure_logging(level="DEBUG", stream=out)
    for name in ("kafka", "redis", "somebody.else"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble %d", 1)
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(r["event"], r["level"]) for r in records] == [("trouble 1", "warning")] * 3


def test_configuring_again_does_not_double_lines() -> None:
    out = io.StringIO()
    for _ in range(2):
        configure_logging(stream=out)
    log().warning("once")
    assert len(out.getvalue().splitlines()) == 1


def test_printable_leaves_text_of_any_language_alone() -> None:
    assert printable("Kratzer an Blech 3 傷 ✓") == "Kratzer an Blech 3 傷 ✓"
    assert printable("a\nb\x9b", keep_lines=True) == "a\nb\\x9b"


def test_importing_telemetry_imports_nothing_heavy() -> None:
    code = (
        "import sys, inspector.adapters.telemetry.logs; print([m for m in ('structlog', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
