"""What every test may use: real Kafka and Redis, names of its own on them, and one thread a test."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from local_services import PHOTOGRAPHS, Services, running

LEFT_OUT = pytest.StashKey[int]()
_LEFT_OUT_OUTPUT = "inspector_left_out"  # of a worker of pytest-xdist, all of which collect the same tests

TINY_CLIP = {
    "model_cfg": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": 4, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Kafka and Redis: those of KAFKA_BOOTSTRAP and REDIS_URL, else fresh ones that end with the session."""
    kafka_bootstrap, redis_url = os.environ.get("KAFKA_BOOTSTRAP"), os.environ.get("REDIS_URL")
    if kafka_bootstrap and redis_url:
        yield Services(kafka_bootstrap, redis_url, None)
        return
    with running(tmp_path_factory.mktemp("services"), brokers=1) as own:
        yield own


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a randomly initialised model, small enough that tests of the line test the line."""
    folder = tmp_path_factory.mktemp("tiny-clip")
    (folder / "open_clip_config.json").write_text(json.dumps(TINY_CLIP))
    return f"local-dir:{folder}"


@pytest.fixture
def own_services(tmp_path: Path) -> Iterator[Callable[[int], Services]]:
    """Starts servers for one test alone, which may break them: `own_services(3)` has three brokers."""
    with contextlib.ExitStack() as until_the_test_ends:
        yield lambda brokers: until_the_test_ends.enter_context(running(tmp_path / "services", brokers))


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for the topics, groups, transactional ids and Redis keys of one test, so that tests never meet."""
    return f"t-{uuid.uuid4().hex[:12]}-"


def pytest_configure() -> None:
    """One torch thread, here and in child processes: repeatable sums, no fight for the cores with the brokers."""
    # Torch reads them when it is imported, which is while tests are collected: too early for a fixture.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests that need the real photographs where there are none; the summary says so."""
    if PHOTOGRAPHS.is_dir():
        return
    needing = [item for item in items if item.get_closest_marker("shared")]
    if needing:
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]
    config.stash[LEFT_OUT] = len(needing)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells the process that reports what was left out."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_LEFT_OUT_OUTPUT] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear what a worker left out."""
    output = getattr(node, "workeroutput", {})  # none of a worker that crashed
    node.config.stash[LEFT_OUT] = output.get(_LEFT_OUT_OUTPUT, node.config.stash.get(LEFT_OUT, 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Names what was left out, so that a green run is not taken for more than it is."""
    left_out = config.stash.get(LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(
            f"{left_out} tests on real photographs were left out: ../shared/datasets is not here", yellow=True
        )
