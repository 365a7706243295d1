"""Text from outside, made safe to show: on a terminal or in a log it could move the cursor or forge a line."""

from __future__ import annotations


def printable(text: str, *, keep_lines: bool = False) -> str:
    r"""Return ``text`` with whatever is not printable written as an escape (``\x1b``, ``\u202e``, ``\udcff``)."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or (keep_lines and char == "\n") else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
