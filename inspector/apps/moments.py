"""Moments as people type them: ``10m`` (ago), ``2026-11-24T06:00:00Z``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from inspector.domain.errors import BadInputError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGO = re.compile(r"(\d{1,6})([smhd])")


def parse_since(text: str, now: datetime) -> datetime:
    """Return the moment in UTC; a time without a zone is taken as UTC.

    Raises:
        BadInputError: ``text`` is neither a duration nor a time.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return now - timedelta(seconds=int(ago[1]) * _UNITS_S[ago[2]])
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadInputError(
            "a time or a duration", repr(text), "write 2026-11-24T06:00:00Z, or 30s, 10m, 8h, 7d for that long ago"
        ) from error
