"""Commands in this process: an empty folder to stand in, and logging as it was afterwards."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Commands set up logging for their process; here that process goes on."""
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("inspector", "kafka", "redis"))]
    levels = [logger.level for logger in loggers]
    handlers = root.handlers[:]
    yield
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def tiny_settings(here: Path, tiny_model: str) -> Path:
    """``inspector.yaml`` of the current folder, with the tiny model."""
    file = here / "inspector.yaml"
    file.write_text(json.dumps({"model": {"name": tiny_model, "threads": 1}}))
    return file
