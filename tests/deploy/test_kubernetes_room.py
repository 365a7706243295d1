"""Whether what the cameras of an overlay send finds room: Kafka's volumes and Redis's memory, as rendered."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest
from kube_objects import OVERLAYS, Object, named, of_kind, pod_templates, rendered, told

from inspector import settings as all_settings
from inspector.apps.sources import open_source
from inspector.pipeline.capacity import Plant, capacity
from inspector.settings import Settings

ANOMALOUS_SHARE = 0.15  # of the simulated cameras' frames (`rate` of their source)
ALERT_BYTES = 1500  # as inspector.pipeline.capacity has it
SEGMENT_BYTES = 2**30  # of a partition; a segment goes as a whole, when its newest record is too old
FULL_SHARE = 0.75
_UNITS = {"Gi": 2**30, "Mi": 2**20, "gb": 2**30, "mb": 2**20}


@dataclass(frozen=True)
class Line:
    """An overlay: its cameras send ``frame_bytes`` at ``camera_fps`` each."""

    objects: Sequence[Object]
    settings: Settings
    cameras: int
    camera_fps: float
    frame_bytes: float

    def plant(self) -> Plant:
        kept = self.settings.retention
        return Plant(
            cameras=self.cameras,
            camera_fps=self.camera_fps,
            frame_bytes=round(self.frame_bytes),
            anomalous_share=ANOMALOUS_SHARE,
            inspector_fps=20,
            replication_factor=1,
            frames_retention_s=self.settings.kafka.frames_retention_hours * 3600,
            good_s=kept.good_hours * 3600,
            defect_s=kept.defect_hours * 3600,
            good_per_camera=kept.good_per_camera,
            defect_per_camera=kept.defect_per_camera,
            duplicate_s=kept.duplicate_hours * 3600,
        )


@pytest.fixture(scope="module", params=OVERLAYS)
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Line:
    objects = rendered(OVERLAYS[request.param])
    inspector = next(pod for pod in pod_templates(objects) if pod.owner == "StatefulSet/inspector")
    variables, config = told(objects, inspector)
    file = tmp_path_factory.mktemp(request.param) / "inspector.yaml"
    file.write_text(config)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        settings = all_settings.load(file)
    sent = list(_cameras(objects))
    return Line(
        objects,
        settings,
        cameras=len(sent),
        camera_fps=max(fps for _, fps in sent),
        frame_bytes=mean(_frame_bytes(source) for source, _ in sent),
    )


def _cameras(objects: Sequence[Object]) -> Iterator[tuple[str, float]]:
    for pod in pod_templates(objects):
        if pod.labels.get("app.kubernetes.io/component") == "camera":
            args = pod.spec["containers"][0]["args"]
            yield args[args.index("produce") + 1], float(args[args.index("--rate") + 1])


@functools.cache
def _frame_bytes(source: str) -> float:
    return mean(len(captured.image) for captured in open_source(source, limit=2))


def test_topics_keep_frames_as_long_as_the_settings_say(line: Line) -> None:
    frames = _topic(line, "inspection.frames")
    assert int(frames["spec"]["config"]["retention.ms"]) == line.settings.kafka.frames_retention_hours * 3_600_000


def _topic(line: Line, name: str) -> Object:
    return next(each for each in of_kind(line.objects, "KafkaTopic") if each["metadata"]["name"] == name)


def test_a_brokers_volume_holds_what_is_kept(line: Line) -> None:
    """Each has a copy of everything: there are as many brokers as copies."""
    pool = next(of_kind(line.objects, "KafkaNodePool"))["spec"]
    assert pool["replicas"] == line.settings.kafka.replication_factor
    needs = capacity(line.plant())
    alerts = _topic(line, "inspection.alerts")
    alerts_s = int(alerts["spec"]["config"]["retention.ms"]) / 1000
    kept = needs.kafka_disk_bytes + line.cameras * SEGMENT_BYTES + needs.alerts_per_s * ALERT_BYTES * alerts_s
    volume = _bytes(pool["storage"]["volumes"][0]["size"])
    assert kept < FULL_SHARE * volume, f"{kept / 2**30:.1f} GiB for a volume of {volume / 2**30:.0f} GiB"


def test_redis_is_full_before_its_pod_is_and_holds_what_is_kept(line: Line) -> None:
    """Full is then an error that is seen. Killed for its memory it would read its log and be killed again."""
    redis = next(each for each in of_kind(line.objects, "StatefulSet") if named(each) == "StatefulSet/redis")
    container = redis["spec"]["template"]["spec"]["containers"][0]
    most = _bytes(_redis_settings(line.objects, container)["maxmemory"])
    assert most <= 0.6 * _bytes(container["resources"]["limits"]["memory"])
    assert capacity(line.plant()).redis_bytes < FULL_SHARE * most


def _redis_settings(objects: Sequence[Object], container: Object) -> Mapping[str, str]:
    """Return what the server is told: by the file that it starts with, and above it by its arguments."""
    program, file, *arguments = container["args"]
    assert program == "redis-server"
    name = Path(file).name
    text = next(each["data"][name] for each in of_kind(objects, "ConfigMap") if name in each.get("data", {}))
    said = dict(words for words in (line.split(maxsplit=1) for line in text.splitlines()) if len(words) == 2)
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    return said | {name.removeprefix("--"): value for name, value in pairs}


def _bytes(text: str) -> int:
    return int(text[:-2]) * _UNITS[text[-2:]]
