"""``serve.*`` of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from inspector.settings.sections import Section


class ServeSettings(Section):
    """The HTTP API. Whoever reaches a loopback address may ask; any other ``host`` needs a token.

    ``allowed_hosts``: names (without port) by which it is reached, beside ``host`` and the loopback's.
    ``allowed_origins``: pages of other addresses that browsers may let ask. The token comes from the environment or a
    file, never from a flag.
    """

    host: Annotated[str, Field(min_length=1, max_length=255)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8750
    max_body_bytes: Annotated[int, Field(ge=1024, le=2**30)] = 8 * 2**20
    allowed_hosts: tuple[Annotated[str, Field(pattern=r"^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)$")], ...] = ()
    allowed_origins: tuple[Annotated[str, Field(pattern=r"^https?://[^/*\s]+$")], ...] = ()
    token: SecretStr | None = None
    token_file: Path | None = None
