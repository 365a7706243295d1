"""Servers that several contracts are held against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from s3_servers import S3Server, moto, s3proxy


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server in a process of its own."""
    with moto(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


@pytest.fixture(scope="session")
def other_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server of another make, which checks signatures."""
    with s3proxy(tmp_path_factory.mktemp("s3proxy")) as server:
        yield server
