"""Commands in this process: a tiny model, an empty folder to stand in, and logging as it was afterwards."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import TINY_CLIP


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


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a randomly initialised model that builds in no time."""
    folder = tmp_path_factory.mktemp("tiny-clip")
    (folder / "open_clip_config.json").write_text(json.dumps(TINY_CLIP))
    return f"local-dir:{folder}"


@pytest.fixture
def tiny_settings(here: Path, tiny_clip: str) -> Path:
    """``inspector.yaml`` of the current folder, with the tiny model."""
    file = here / "inspector.yaml"
    file.write_text(json.dumps({"model": {"name": tiny_clip, "threads": 1}}))
    return file
