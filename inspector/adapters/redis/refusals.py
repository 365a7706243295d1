"""Which of redis-py's errors say that a server, or a sentinel, refuses us."""

from __future__ import annotations

import re

from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
)

_REFUSES_US = (
    AuthenticationError,
    AuthorizationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
)
# Older servers wrap the code of an error raised inside a script in a sentence of their own, so it is searched for.
_REFUSES_US_TEXT = re.compile(r"\b(NOAUTH|WRONGPASS|NOPERM)\b|The user executing the script")


def text_of(error: RedisError) -> str:
    """Return what the server said, with the code that redis-py keeps apart from it."""
    return f"{getattr(error, 'status_code', None) or ''} {error}".strip()


def refuses_us(error: RedisError) -> bool:
    """Tell whether a server refuses who we are or what we may do."""
    return isinstance(error, _REFUSES_US) or _REFUSES_US_TEXT.search(text_of(error)) is not None
