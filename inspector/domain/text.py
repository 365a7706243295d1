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


def is_text(text: str) -> bool:
    """Say whether ``text`` can be written as UTF-8; an argument with undecodable bytes in it cannot."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def shortened(text: str, limit: int = 300) -> str:
    """Return ``text`` on one line of printable characters, its middle left out beyond ``limit`` of them.

    A problem may quote a whole hostile file; what it is about stands at one of the ends.
    """
    whole = printable(" ".join(text.split()))
    return whole if len(whole) <= limit else f"{whole[: limit // 2]} ... {whole[-limit // 2 :]}"
