"""Puts a part of the service out and another in, in this process; a name that is no longer there fails at once."""

from __future__ import annotations


def replace(owner: object, name: str, part: object) -> object:
    """Set ``owner.name`` (a module's or a class's) to ``part`` and return what was there.

    Raises:
        AttributeError: there is no such name to replace.
    """
    before: object = getattr(owner, name)
    setattr(owner, name, part)
    return before
