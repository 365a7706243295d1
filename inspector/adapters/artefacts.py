"""Content addressing, the same for every artefact store."""

from __future__ import annotations

import hashlib

from inspector.domain.errors import BadInputError


def version_of(data: bytes) -> str:
    """Return the version of an artefact: the SHA-256 of its bytes in hex."""
    return hashlib.sha256(data).hexdigest()


def verified(version: str, data: bytes | None) -> bytes:
    """Return ``data`` if it is what ``version`` names.

    Raises:
        BadInputError: there is no data, or it does not hash to ``version``.
    """
    # Quoted and cut: versions come from announcements, which anyone may have written.
    named = repr(version[:64])
    if data is None:
        raise BadInputError(f"an artefact stored as {named}", "none", "announce it again with enroll or calibrate")
    if version_of(data) != version:
        raise BadInputError(
            f"bytes that hash to {named}",
            f"bytes that hash to {version_of(data)}",
            "the stored artefact is damaged: announce it again with enroll or calibrate",
        )
    return data
