"""Ranges that records from outside keep to, checked wherever one is made: from a file, an announcement or in code."""

from __future__ import annotations

import math
from datetime import datetime

from inspector.domain.errors import BadInputError

_MAX_WORD = 80
# Years in which a moment can be told in every time zone.
_FIRST_YEAR, _LAST_YEAR = 1970, 9998


def check_number(
    name: str, value: float | None, low: float, high: float = math.inf, *, low_excluded: bool = False
) -> None:
    """Refuse a number that is not finite or not in ``low``..``high``; None is no number and passes.

    Raises:
        BadInputError: so it is.
    """
    if value is None or (_is_finite(value) and low <= value <= high and not (low_excluded and value == low)):
        return
    least = f"above {low:g}" if low_excluded else f"of at least {low:g}"
    most = "" if high == math.inf else f" and at most {high:g}"
    bounds = "" if low == -math.inf else f" {least}{most}"
    raise BadInputError(f"{name} as a finite number{bounds}", _shown(value), f"correct {name}")


def check_moment(name: str, moment: datetime | None) -> None:
    """Refuse a moment without a time zone, or one that other time zones could not tell; None passes.

    Raises:
        BadInputError: so it is.
    """
    if moment is None or (moment.utcoffset() is not None and _FIRST_YEAR <= moment.year <= _LAST_YEAR):
        return
    raise BadInputError(
        f"{name} with a time zone, of the years {_FIRST_YEAR} to {_LAST_YEAR}",
        str(moment),
        "write it in UTC, ending in Z",
    )


def check_word(name: str, value: str) -> None:
    """Refuse text that is blank, longer than 80 characters or not printable.

    Raises:
        BadInputError: so it is.
    """
    if not value.strip() or len(value) > _MAX_WORD or not value.isprintable():
        raise BadInputError(f"{name} of 1 to {_MAX_WORD} printable characters", repr(value[:100]), f"correct {name}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number may have any number of digits
        return False


def _shown(value: float) -> str:
    try:
        return f"{value:g}"
    except OverflowError:
        return "a whole number beyond all bounds"
