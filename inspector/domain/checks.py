"""Ranges that records from outside keep to, checked wherever one is made: from a file, an announcement or in code."""

from __future__ import annotations

import math

from inspector.domain.errors import BadInputError

_MAX_WORD = 80


def check_number(
    name: str, value: float | None, low: float, high: float = math.inf, *, low_excluded: bool = False
) -> None:
    """Refuse a number that is not finite or not in ``low``..``high``; None is no number and passes.

    Raises:
        BadInputError: so it is.
    """
    if value is None or (math.isfinite(value) and low <= value <= high and not (low_excluded and value == low)):
        return
    least = f"above {low:g}" if low_excluded else f"of at least {low:g}"
    most = "" if high == math.inf else f" and at most {high:g}"
    bounds = "" if low == -math.inf else f" {least}{most}"
    raise BadInputError(f"{name} as a finite number{bounds}", f"{value:g}", f"correct {name}")


def check_word(name: str, value: str) -> None:
    """Refuse text that is blank, longer than 80 characters or not printable.

    Raises:
        BadInputError: so it is.
    """
    if not value.strip() or len(value) > _MAX_WORD or not value.isprintable():
        raise BadInputError(f"{name} of 1 to {_MAX_WORD} printable characters", repr(value[:100]), f"correct {name}")
