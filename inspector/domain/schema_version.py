"""Which schema versions a reader takes: ``NAME/MAJOR`` or ``NAME/MAJOR.MINOR``, as in ``inspection.result/1.2``.

A new minor only adds fields that may be left out (no minor is minor 0): readers of any minor read it and ignore what
they do not know, so that inspectors of two releases share a line while one is rolled out. Anything else, a new value
of an old field included, is a new major: a reader of another major refuses it.
"""

from __future__ import annotations

import re

from inspector.domain.errors import BadInputError

_SCHEMA = re.compile(r"(?P<name>[a-z][a-z0-9.-]{0,63})/(?P<major>[0-9]{1,6})(?:\.[0-9]{1,6})?")


def readable(found: str, known: str) -> bool:
    """Tell whether a reader that knows schema ``known`` can read a record that says it is of ``found``."""
    theirs, ours = _SCHEMA.fullmatch(found), _SCHEMA.fullmatch(known)
    return theirs is not None and ours is not None and theirs.group("name", "major") == ours.group("name", "major")


def require_readable(found: str, known: str) -> None:
    """Refuse a record of another schema, or of another major version.

    Raises:
        BadInputError: it is one.
    """
    if not readable(found, known):
        raise BadInputError(
            f"schema {known}", repr(found[:100]), "upgrade this reader, or correct what wrote the record"
        )
