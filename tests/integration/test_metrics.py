"""Scrapes and probes of a real inspector on real Kafka and Redis: what they say is what the line did."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import frames
import pytest
from line import Line, running_line, wait_for
from local_services import Services
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from inspector.domain.metrics import Part, metrics_of

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


def test_counts_are_those_of_results_alerts_and_dead_letters_and_the_port_outlives_a_worker(line: Line) -> None:
    line.start_inspector("a")
    pod = Pod(line, "a")
    wait_for(lambda: pod.probe("/livez") == 200, 60, line.logs)
    assert pod.probe("/readyz") == 503, "before the model is warm"
    assert pod.probe("/startupz") == 503
    wait_for(lambda: pod.probe("/readyz") == 200, 120, line.logs)
    assert pod.probe("/startupz") == 200

    taken = publish(line, cameras=4, each=10)
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

    worker = Path(f"/proc/{line.processes[-1].pid}/task/{line.processes[-1].pid}/children").read_text().split()[0]
    os.kill(int(worker), signal.SIGKILL)
    wait_for(lambda: pod.total("inspector_worker_restarts_total", why="killed") == 1, 30, line.logs)
    assert pod.probe("/livez") == 200, "between two lives of its worker a pod is not to be killed"
    assert pod.probe("/startupz") == 200
    more = publish(line, cameras=4, each=5)
    wait_for(lambda: pod.probe("/readyz") == 200, 120, line.logs)
    wait_for(lambda: pod.total("inspector_frames_total") >= more, 120, line.logs)
    assert pod.total("inspector_frames_total") == more, "a new worker counts from 0, as Prometheus expects"
