"""A Kafka and a Redis that let in nobody without a password over TLS, and the roles' rights on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from secured import Secured, running_secured


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Both servers, with every role of deploy/security/roles.yaml and the topics made by the administrator."""
    with running_secured(tmp_path_factory.mktemp("secured")) as servers:
        yield servers
