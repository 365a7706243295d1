"""Scrapes and probes of a real inspector on real Kafka and Redis: what they say is what the line did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import frames
import pytest
from line import Line, running_line, wait_for
from local_services import Services
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from inspector import settings as settings_of
from inspector.adapters.telemetry.instruments import Instruments
from inspector.apps import watch
from inspector.domain.metrics import Part, metrics_of
from inspector.pipeline.reconciliation import FindingKind

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


@pytest.fixture
def line(services: Services, tmp_path: Path, topic_prefix: str, tiny_model: str) -> Iterator[Line]:
    with running_line(
        services,
        tmp_path,
        topic_prefix,
        model={"name": tiny_model, "pretrained": "random", "threads": 1},
        metrics={"port": 0},
    ) as running:
        yield running


class Pod:
    """One inspector's port; its address is in its log."""

    def __init__(self, line: Line, replica: str) -> None:
        self._log = line.dir / f"{replica}.log"

    @property
    def url(self) -> str:
        found = [each for each in self._log.read_text().split('"') if "metrics and probes at http" in each]
        return found[0].split(" at ")[1] if found else ""

    def probe(self, path: str) -> int:
        try:
            with urlopen(f"{self.url}{path}", timeout=10) as answer:
                return int(answer.status)
        except URLError as error:
            return int(getattr(error, "code", 0))
        except ValueError:
            return 0  # it has not said where it listens yet

    def scrape(self) -> list[Sample]:
        with urlopen(f"{self.url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        families = list(text_string_to_metric_families(text))
        assert len({family.name for family in families}) == len(families), "a family came twice: no scraper takes that"
        return [sample for family in families for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        return sum(s.value for s in self.scrape() if s.name == name and labels.items() <= s.labels.items())


def publish(line: Line, cameras: int, each: int) -> int:
    """Publish frames of so many cameras and one that is no image; return how many."""
    records = [
        {"key": f"cam{number % cameras}".encode(), "value": frames.jpeg(frames.part(number, marked=number % 3 == 0))}
        for number in range(cameras * each)
    ]
    line.publish([*records, {"key": b"cam0", "value": b"no image"}])
    return len(records) + 1


def watched(line: Line, taken: int) -> None:
    """The watch finds that nothing is behind, that all fits, and when each camera's last result was stored."""
    settings = settings_of.load(line.config)
    made = Instruments(metrics_of(Part.WATCH), with_process=False)
    for look in (watch.look_at_lag, watch.look_at_cameras, watch.OutcomeLooks().look_at_outcomes):
        look(settings, made)
    samples = [s for family in text_string_to_metric_families(made.text().decode()) for s in family.samples]
    told = {(s.name, *s.labels.values()): s.value for s in samples}
    assert {told["inspector_group_lag_frames", str(partition)] for partition in range(6)} == {0}
    assert {told["inspector_reconcile_findings", kind.value] for kind in FindingKind} == {0}
    assert told["inspector_reconcile_frames",] == taken
    for camera in range(4):
        age_s = time.time() - told["inspector_camera_newest_result_timestamp_seconds", f"cam{camera}"]
        assert -5 < age_s < 300
    assert time.time() - told["inspector_reconcile_timestamp_seconds",] < 300


def test_counts_are_those_of_results_alerts_and_dead_letters(line: Line) -> None:
    line.start_inspector("a")
    pod = Pod(line, "a")
    wait_for(lambda: pod.probe("/livez") == 200, 60, line.logs)
    assert pod.probe("/readyz") == 503, "before the model is warm"
    assert pod.probe("/startupz") == 503
    wait_for(lambda: pod.probe("/readyz") == 200, 120, line.logs)
    assert pod.probe("/startupz") == 200

    taken = publish(line, cameras=4, each=6)
    wait_for(lambda: pod.total("inspector_frames_total") >= taken, 120, line.logs)
    line.wait_drained()
    results = list(line.results().values())
    assert len(results) == taken - 1
    by_camera = Counter(result.camera_id for result in results)
    by_label = Counter(result.pred_label.value for result in results)
    for camera_id, count in by_camera.items():
        assert pod.total("inspector_frames_total", camera_id=camera_id, outcome="inspected") == count
    for label, count in by_label.items():
        assert pod.total("inspector_frames_total", outcome="inspected", reason=label) == count
    assert pod.total("inspector_frames_total", outcome="rejected", reason="undecodable", camera_id="cam0") == 1
    assert pod.total("inspector_dead_letters_total") == len(line.dead_letters()) == 1
    assert pod.total("inspector_alerts_total", kind="defect") == len(line.alerts()) == by_label["anomalous"]
    assert pod.total("inspector_frame_latency_seconds_count") == len(results)
    assert pod.total("inspector_stage_seconds_count", stage="score") == len(results)
    assert pod.total("inspector_batch_frames_sum") == taken
    assert pod.total("inspector_camera_last_frame_timestamp_seconds", camera_id="cam1") == pytest.approx(
        max(result.captured_at.timestamp() for result in results if result.camera_id == "cam1")
    )
    serving = {s.labels["weights_version"] for s in pod.scrape() if s.name == "inspector_weights_info"}
    assert serving == {result.weights_version[:12] for result in results}
    assert pod.total("process_resident_memory_bytes") > 2**26, "the worker's, not the supervisor's"
    wait_for(lambda: pod.total("inspector_consumer_lag_frames") == 0, 30, line.logs)
    partitions = {s.labels["partition"] for s in pod.scrape() if s.name == "inspector_consumer_lag_frames"}
    assert partitions == {str(number) for number in range(6)}
    exported = {s.name for s in pod.scrape()}
    always = {m.name for m in metrics_of(Part.INSPECTOR) if not m.labels and not m.buckets}
    assert always <= exported

    watched(line, taken)


@pytest.mark.long
def test_a_producer_tells_what_waits_on_its_disk_while_kafka_is_away(
    own_services: Callable[[int], Services], tmp_path: Path, topic_prefix: str
) -> None:
    services = own_services(1)
    settings = {"metrics": {"port": 0}, "spool": {"dir": str(tmp_path / "spool")}}
    with running_line(services, tmp_path, topic_prefix, **settings) as line, (tmp_path / "cam7.log").open("wb") as log:
        command = ["produce", "sim:plate", "--camera", "cam7", "--rate", "20", "--loop", "-c", str(line.config)]
        line.processes.append(subprocess.Popen([sys.executable, "-m", "inspector", *command], stdout=log, stderr=log))
        pod = Pod(line, "cam7")
        acknowledged = {"camera_id": "cam7", "outcome": "acknowledged"}
        wait_for(lambda: pod.probe("/readyz") == 200, 60, line.logs)
        wait_for(lambda: pod.total("inspector_produced_frames_total", **acknowledged) >= 20, 60, line.logs)
        assert pod.total("inspector_spool_frames") == 0
        assert pod.total("inspector_disk_free_bytes", place="spool") > 2**20
        services.act("pause", "kafka-1")
        wait_for(lambda: pod.total("inspector_spool_frames", camera_id="cam7") >= 20, 120, line.logs)
        assert pod.total("inspector_spool_bytes") > 20 * 1000
        assert pod.probe("/livez") == 200
        services.act("resume", "kafka-1")
        wait_for(lambda: pod.total("inspector_spool_frames") == 0, 120, line.logs)
        age_s = time.time() - pod.total("inspector_last_acknowledged_timestamp_seconds")
        assert age_s < 30
        line.stop()
        published = sum(placed.offset for placed in line.publish([{"key": b"cam7", "value": b"the last"}]))
        with (tmp_path / "watch.log").open("wb") as watch_log:
            command = ["watch", "-c", str(line.config)]
            often = {f"INSPECTOR_WATCH__{name}_EVERY_S": "10" for name in ("LOOK", "RECONCILE", "DRIFT")}
            line.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "inspector", *command],
                    stdout=watch_log,
                    stderr=watch_log,
                    env={**os.environ, **often},
                )
            )
        overseer = Pod(line, "watch")
        wait_for(lambda: overseer.probe("/readyz") == 200, 120, line.logs)
        wait_for(lambda: overseer.total("inspector_group_lag_frames") == published + 1, 60, line.logs)
        wait_for(lambda: overseer.total("inspector_drift_timestamp_seconds") > 0, 60, line.logs)
        # Nothing was ever committed, so that there is nothing to reconcile, and that is no failure of the watch's.
        wait_for(lambda: overseer.total("inspector_reconcile_timestamp_seconds") > 0, 60, line.logs)
        assert overseer.total("inspector_reconcile_frames") == 0
        assert overseer.total("inspector_watch_failures_total") == 0
        assert overseer.probe("/livez") == 200


@pytest.mark.long
def test_the_port_outlives_workers_that_are_killed_or_hang(
    services: Services, tmp_path: Path, topic_prefix: str
) -> None:
    metrics = {"port": 0, "stuck_after_s": 10}
    with running_line(services, tmp_path, topic_prefix, metrics=metrics) as line:
        stub = Path(__file__).with_name("stub_line_worker.py")
        command = [sys.executable, str(stub), "-c", str(line.config), "--score-ms", "40000", "--supervised"]
        with (tmp_path / "a.log").open("wb") as log:
            supervisor = subprocess.Popen(command, stdout=log, stderr=log)
        line.processes.append(supervisor)
        pod = Pod(line, "a")
        wait_for(lambda: pod.probe("/readyz") == 200, 120, line.logs)

        worker = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()[0]
        os.kill(int(worker), signal.SIGKILL)
        wait_for(lambda: pod.total("inspector_worker_restarts_total", why="killed") == 1, 30, line.logs)
        assert pod.probe("/livez") == 200, "between two lives of its worker a pod is not to be killed"
        assert pod.probe("/startupz") == 200
        wait_for(lambda: pod.probe("/readyz") == 200, 120, line.logs)

        line.publish([{"key": b"cam1", "value": b"\xff\xd8\xff "}])
        wait_for(lambda: pod.probe("/livez") == 503, 60, line.logs)  # it is being scored for 40 s
        wait_for(lambda: pod.probe("/livez") == 200, 120, line.logs)
        wait_for(lambda: pod.total("inspector_frames_total") == 1, 60, line.logs)
        line.wait_drained()
