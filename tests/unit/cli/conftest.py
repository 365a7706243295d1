"""Commands in this process: an empty folder to stand in, and logging as it was afterwards."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inspector import settings
from inspector.apps import model_wiring
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.weights_file import save_weights
from inspector.domain.product import Vocabulary


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
    file.write_text(json.dumps({"model": {"name": tiny_model, "pretrained": "random", "threads": 1}}))
    return file


@pytest.fixture
def trained_weights(tiny_settings: Path) -> Path:
    """``w.safetensors`` of the current folder: weights that say they were tuned on the types rust and chip."""
    loaded = settings.load(tiny_settings)
    fresh, manifest = init_prompt_weights(model_wiring.model_spec(loaded), Vocabulary(("rust", "chip")), 0)
    save_weights(tiny_settings.parent / "w.safetensors", fresh, replace(manifest, trained=True))
    return Path("w.safetensors")
