"""Weights swapped on a running line, on real Kafka and Redis: no frame lost, no batch mixed, rollbacks in seconds.

Engines are stubs (rollout_worker.py), so that what is timed is the service; real models: test_published_weights.py.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest
from kafka import KafkaProducer
from line import Line, running_line, wait_for
from local_services import Services
from stub_line_worker import DEFECT

from inspector import settings as settings_of
from inspector.adapters.kafka.weights_feed import announce_release, announce_rollout, read_weights
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.results import RedisResults
from inspector.apps import weights_rollout, wiring
from inspector.apps.weights_rollout import Request
from inspector.domain.release import RolloutStage, WeightsRelease
from inspector.domain.result import InspectionResult, PredLabel
from inspector.pipeline.rollout import Decision, first_rollout, version_for
from inspector.settings import Settings

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

WORKER = Path(__file__).with_name("rollout_worker.py")
CAMERAS = 12
GOOD = b"\xff\xd8\xff good"
QUIET = Request("a test", "the test asked for it", as_json=True)


class Rollouts:
    """A line of stub inspectors, and what a person does with its weights."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.settings: Settings = settings_of.load(line.config)
        self.published = 0
        self._stop = threading.Event()
        self._results = RedisResults(connect(line.redis_url))

    def start(self, replica: str) -> subprocess.Popen[bytes]:
        with (self.line.dir / f"{replica}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, str(WORKER), "-c", str(self.line.config)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "INSPECTOR_REPLICA": replica},
            )
        self.line.processes.append(worker)
        return worker

    def release(self, version: str, **behaviour: object) -> None:
        data = json.dumps({"version": version, **behaviour}).encode()
        artefact = wiring.artefacts(self.settings).put(data)
        topic = self.settings.kafka.weights_topic
        announce_release(self.line.connection, topic, WeightsRelease(version, artefact, "stub", datetime.now(UTC)))

    def begin(self) -> None:
        """Let v0, the weights of the settings, be the stable version, which one may roll back to by name."""
        self.release("v0")
        decision = Decision("a test", "begin", datetime.now(UTC))
        announce_rollout(self.line.connection, self.settings.kafka.weights_topic, first_rollout("v0", decision))

    def promote(self, version: str | None, to: str) -> None:
        weights_rollout.promote(self.settings, version, RolloutStage(to), 0.5, QUIET)

    @contextmanager
    def load(self, frames_per_s: float) -> Iterator[None]:
        """Publish all the while, each frame with a number of its own; one in ten shows a defect."""
        thread = threading.Thread(target=self._publish, args=(frames_per_s,))
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _publish(self, frames_per_s: float) -> None:
        producer = KafkaProducer(bootstrap_servers=self.line.services.kafka_bootstrap, acks="all", linger_ms=2)
        began_s = time.monotonic()
        while not self._stop.is_set():
            due = int((time.monotonic() - began_s) * frames_per_s)
            for number in range(self.published, due):
                value = GOOD + (DEFECT if number % 10 == 0 else b"") + str(number).encode()
                headers = [("frame_id", f"f{number:07}".encode())]
                producer.send(
                    self.line.frames_topic, key=f"cam{number % CAMERAS}".encode(), value=value, headers=headers
                )
            self.published = max(self.published, due)
            time.sleep(0.01)
        producer.flush(30)
        producer.close()

    def recent(self, count: int = 4) -> list[InspectionResult]:
        """Return the last results of each camera."""
        return [r for camera in self._results.cameras() for r in self._results.last(camera, count)]

    def wait_serving(self, versions: set[str], timeout_s: float = 30.0) -> None:
        """Wait until the last results are of exactly these versions."""

        def serving() -> bool:
            return {r.weights_version for r in self.recent()} == versions

        wait_for(serving, timeout_s, self.line.logs)

    def results(self) -> list[InspectionResult]:
        """Wait until all is inspected; check that all is there, and return the results as they were judged."""
        self.line.wait_drained()
        results = sorted(self.line.results().values(), key=lambda r: r.inspected_at)
        assert [r.frame_id for r in sorted(results, key=lambda r: r.frame_id)] == [
            f"f{n:07}" for n in range(self.published)
        ]
        assert self.line.dead_letters() == []
        alerts = Counter(alert.frame_id for alert in self.line.alerts())
        assert set(alerts) == {r.frame_id for r in results if r.pred_label is PredLabel.ANOMALOUS}
        assert set(alerts.values()) <= {1}
        return results


@pytest.fixture
def rollouts(services: Services, tmp_path: Path, topic_prefix: str) -> Iterator[Rollouts]:
    kept = {"good_per_camera": 10**6, "defect_per_camera": 10**6}
    with running_line(services, tmp_path, topic_prefix, retention=kept, rollout={"watch_hours": 24}) as running:
        yield Rollouts(running)


def test_a_release_comes_in_stages_under_load_and_is_rolled_back_within_five_seconds(rollouts: Rollouts) -> None:
    rollouts.start("a")
    with rollouts.load(60):
        wait_for(lambda: bool(rollouts.recent()), 60, rollouts.line.logs)
        rollouts.begin()
        rollouts.release("v1")
        rollouts.promote("v1", "canary")
        rollouts.wait_serving({"v0", "v1"})
        rollout = read_weights(rollouts.line.connection, rollouts.settings.kafka.weights_topic).rollout
        assert rollout is not None

        def as_announced() -> bool:
            return all(r.weights_version == version_for(rollout, r.camera_id) for r in rollouts.recent(1))

        # The first canary's first frame is not yet the last one's; from there on it holds.
        wait_for(as_announced, 30, rollouts.line.logs)
        seen = {r.frame_id for r in rollouts.recent(1)}
        wait_for(lambda: not seen & {r.frame_id for r in rollouts.recent(1)}, 30, rollouts.line.logs)
        assert as_announced()
        rollouts.promote(None, "full")
        rollouts.wait_serving({"v1"})
        asked = datetime.now(UTC)
        weights_rollout.rollback(rollouts.settings, None, QUIET)
        rollouts.wait_serving({"v0"})
    results = rollouts.results()
    last = max(r.inspected_at for r in results if r.weights_version == "v1")
    assert (last - asked).total_seconds() < 5


@pytest.mark.long
def test_a_release_that_cannot_serve_is_refused_and_told_and_a_lying_one_is_vetoed_by_both(rollouts: Rollouts) -> None:
    for replica in ("a", "b"):
        rollouts.start(replica)
    store = wiring.rollout_store(rollouts.settings)
    with rollouts.load(60):
        wait_for(lambda: bool(rollouts.recent()), 60, rollouts.line.logs)
        rollouts.begin()
        rollouts.release("broken", bad="NaN in an adapter")
        rollouts.promote("broken", "shadow")
        wait_for(lambda: len(store.standings("broken")) == 2, 20, rollouts.line.logs)
        assert {standing.refused is not None for standing in store.standings("broken").values()} == {True}
        rollouts.release("liar", lies=True)
        rollouts.promote("liar", "full")
        wait_for(lambda: "liar" in store.vetoes(["liar"]), 60, rollouts.line.logs)
        rollouts.wait_serving({"v0"})
        advice = weights_rollout.advance(rollouts.settings)
        assert advice.move.value == "roll back"
    assert {r.weights_version for r in rollouts.results()} == {"v0", "liar"}
    rollout = read_weights(rollouts.line.connection, rollouts.settings.kafka.weights_topic).rollout
    assert rollout is not None
    assert (rollout.stable_version, rollout.previous_version) == ("v0", None)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_hundred_swaps_under_load_on_two_inspectors(rollouts: Rollouts, capsys: pytest.CaptureFixture[str]) -> None:
    swaps = 100
    workers = [rollouts.start(replica) for replica in ("a", "b")]
    took_s: list[float] = []
    with rollouts.load(60):
        wait_for(lambda: bool(rollouts.recent()), 60, rollouts.line.logs)
        rollouts.begin()
        rollouts.release("v1")
        for number in range(swaps):
            asked = time.monotonic()
            version = "v1" if number % 2 == 0 else "v0"
            rollouts.promote(version, "full")
            rollouts.wait_serving({version})
            took_s.append(time.monotonic() - asked)
        back_at = datetime.now(UTC)
        weights_rollout.rollback(rollouts.settings, "v1", QUIET)
        rollouts.wait_serving({"v1"})
    results = rollouts.results()
    rolled_back_s = (max(r.inspected_at for r in results if r.weights_version == "v0") - back_at).total_seconds()

    # Each camera is one partition's and so one inspector's: its frames tell when that one swapped, and how it paused.
    pauses: list[float] = []
    gaps: list[float] = []
    for camera in range(CAMERAS):
        own = [r for r in results if r.camera_id == f"cam{camera}"]
        assert [r.source.offset for r in own] == sorted(r.source.offset for r in own)
        for earlier, later in itertools.pairwise(own):
            gap_s = (later.inspected_at - earlier.inspected_at).total_seconds()
            (gaps if earlier.weights_version == later.weights_version else pauses).append(gap_s)
    assert len(pauses) >= swaps * CAMERAS * 0.9
    batches = _batches_of_one_version(rollouts.line.dir)
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    with capsys.disabled():
        print(
            f"\n{swaps} swaps, 2 inspectors, {len(results)} frames: 0 lost, 0 twice; {batches} batches, 0 mixed; "
            f"between two frames of a camera {_figures(gaps)}, over a swap {_figures(pauses)}; all inspectors have "
            f"swapped after {_figures(took_s)}; rollback: the old version's last frame {rolled_back_s:.2f} s after the "
            f"command"
        )
    assert rolled_back_s < 5
    assert _percentile(pauses, 0.99) < 10  # a hang, not a speed


def _batches_of_one_version(folder: Path) -> int:
    """Check what the workers wrote of each batch: its results are of one version; return how many there were."""
    lines = [line for path in folder.glob("*.batches") for line in path.read_text().splitlines()]
    assert [line for line in lines if len(line.split()) > 1] == []
    return len(lines)


def _figures(values: list[float]) -> str:
    return f"median {1000 * median(values):.0f} ms, p99 {1000 * _percentile(values, 0.99):.0f} ms"


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
