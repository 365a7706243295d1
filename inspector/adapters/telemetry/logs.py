"""Logs: lines for people on a terminal, JSON otherwise, both on stderr.

Bind what a line is about with ``structlog.contextvars.bound_contextvars(camera_id=..., frame_id=...,
weights_version=...)``; every line logged inside carries it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

from inspector.domain.text import printable

# structlog costs a third of a second to import, which `inspector --help` does not have; hence the late imports.

_CHATTY = ("kafka", "redis")
_TRACEBACKS = frozenset({"exception", "stack"})
_HANDLER_NAME = "inspector"


def configure_logging(*, json: bool | None = None, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging for this process; a second call replaces the first.

    ``json`` None takes lines for people where ``stream`` (stderr) is a terminal, JSON otherwise. ``level`` is the least
    that is logged (DEBUG, INFO, WARNING, ERROR); other libraries are heard from WARNING on. Times are UTC. Control
    characters in event and values are escaped, so that a name in a frame's header cannot steer a terminal.
    """
    import structlog

    out = stream or sys.stderr
    as_json = not out.isatty() if json is None else json
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # loggers made at import follow a later call
    )
    handler = logging.StreamHandler(out)
    handler.set_name(_HANDLER_NAME)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(as_json, out)],
        )
    )
    root = logging.getLogger()
    for old in [h for h in root.handlers if h.get_name() == _HANDLER_NAME]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("inspector").setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderers(as_json: bool, out: TextIO) -> list[Any]:
    import structlog

    if as_json:  # JSON escapes control characters itself
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    # Tracebacks are rendered first, because they quote untrusted text as well.
    return [
        structlog.processors.format_exc_info,
        _escape_values,
        structlog.dev.ConsoleRenderer(colors=out.isatty()),
    ]


def _escape_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Make every value printable; line breaks survive only in tracebacks, which would be unreadable without."""
    return {
        printable(str(key)): printable(value if isinstance(value, str) else repr(value), keep_lines=key in _TRACEBACKS)
        for key, value in event.items()
    }
