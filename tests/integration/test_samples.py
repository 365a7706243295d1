"""Gathering on real Kafka, Redis and S3: what people spoke of outlives what the line keeps, whoever is killed."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from kafka.structs import TopicPartition
from line import Line, running_line
from local_services import Services
from PIL import Image
from s3_servers import moto
from sample_kit import picture, result

from inspector.adapters.kafka.connection import admin_client
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.result_store import RedisResultStore
from inspector.adapters.redis.retention import Retention
from inspector.apps import wiring
from inspector.domain.feedback import Feedback
from inspector.domain.frame import FrameMeta, FrameSource
from inspector.domain.outcome import Evidence, Inspected
from inspector.domain.records import from_json
from inspector.domain.result import InspectionResult, PredLabel
from inspector.domain.sample import RESULT_PART, Sample, SampleKind
from inspector.pipeline.alert_record import make_alert
from inspector.pipeline.frame_record import encode_headers
from inspector.settings import load

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

FRAMES = 24


@dataclass
class Inspected24:
    """A line that has inspected 24 frames, every sixth of them anomalous; only Kafka has the others' bytes."""

    line: Line
    images: dict[str, bytes]

    def gather(self) -> dict[str, dict[str, int]]:
        answer: dict[str, dict[str, int]] = json.loads(self.line.run("samples", "gather", "--json").stdout)
        return answer

    def samples(self) -> dict[str, Sample]:
        return {kept.frame_id: kept for kept in wiring.sample_store(load(self.line.config)).samples()}

    def forget(self) -> None:
        """Let Redis and the frames topic forget everything."""
        connect(self.line.redis_url).flushdb()
        topic = self.line.frames_topic
        with admin_client(self.line.connection) as admin:
            admin.delete_records({TopicPartition(topic, partition): -1 for partition in range(6)})


@pytest.fixture(params=["folder", "s3"])
def inspected(
    request: pytest.FixtureRequest, services: Services, tmp_path: Path, topic_prefix: str
) -> Iterator[Inspected24]:
    if request.param == "folder":
        with running_line(services, tmp_path, topic_prefix, samples=_limits(str(tmp_path / "samples"))) as line:
            yield _inspect(line)
        return
    with moto(tmp_path / "moto.log") as server:
        (tmp_path / "secret").write_text(server.secret_access_key)
        access = {
            "endpoint": server.endpoint,
            "access_key_id": server.access_key_id,
            "secret_access_key_file": str(tmp_path / "secret"),
        }
        samples = _limits(f"s3://{server.bucket()}/plant") | access
        with running_line(services, tmp_path, topic_prefix, samples=samples) as line:
            yield _inspect(line)


def _limits(place: str) -> dict[str, object]:
    return {"place": place, "normals_per_camera": 6, "uncertain_per_camera": 2}


def _inspect(line: Line) -> Inspected24:
    images = {f"f{number:02}": picture(number) for number in range(FRAMES)}
    records = []
    for frame_id, image in images.items():
        meta = FrameMeta(frame_id, "cam1", "line-1", "plate", result(frame_id).captured_at, "image/jpeg")
        records.append({"key": b"cam1", "value": image, "headers": list(encode_headers(meta))})
    placed = line.publish(records)
    client = connect(line.redis_url)
    store = RedisResultStore(client, group_id=f"{line.prefix}group", retention=Retention())
    for number, (frame_id, place) in enumerate(zip(images, placed, strict=True)):
        made = result(
            frame_id,
            number,
            score=0.9 if number % 6 == 5 else 0.1 + number / 100,
            source=FrameSource(line.frames_topic, place.partition, place.offset),
        )
        evidence = Evidence(frame=images[frame_id]) if made.pred_label is PredLabel.ANOMALOUS else Evidence()
        store.store([Inspected(made.source, made, make_alert(made), evidence)], 1)
    client.close()
    return Inspected24(line, images)


def _drawn() -> bytes:
    pixels = np.zeros((48, 64), np.uint8)  # the size that the results say
    pixels[5:9, 10:20] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_what_people_spoke_of_outlives_redis_and_kafka(inspected: Inspected24) -> None:
    line, mask = inspected.line, inspected.line.dir / "mask.png"
    mask.write_bytes(_drawn())
    arguments = ("--wrong", "--type", "scratch", "--mask", str(mask), "--person", "anna")
    line.run("feedback", "f00", *arguments)  # judged normal: Redis never had its bytes
    line.run("feedback", "f05", "--right", "--person", "anna")
    report = inspected.gather()
    assert report["held"] == {"feedback": 2, "normal": 6, "uncertain": 2}
    assert report["feedback_lost"] == []
    kept = inspected.samples()
    assert {one.frame_id for one in kept.values() if one.kind is SampleKind.UNCERTAIN} == {"f21", "f22"}
    assert inspected.gather()["added"] == {}

    inspected.forget()
    line.run("feedback", "--list", "--json")
    report = inspected.gather()
    assert (report["added"], report["feedback_lost"]) == ({}, [])
    store = wiring.sample_store(load(line.config))
    assert inspected.samples() == kept
    for frame_id, one in kept.items():
        assert store.image(one) == inspected.images[frame_id]
        assert from_json(InspectionResult, store.part(one, RESULT_PART) or b"").frame_id == frame_id
    spoken = {part.name.partition("-")[0]: store.part(kept["f00"], part.name) for part in kept["f00"].parts}
    said = from_json(Feedback, spoken["feedback"] or b"")
    assert (said.defect_type, said.person) == ("scratch", "anna")
    assert hashlib.sha256(spoken["mask"] or b"").hexdigest() == said.mask_version
    assert line.run("samples", "verify", check=False).returncode == 0


def test_gatherers_killed_at_any_time_and_two_at_once_lose_and_damage_nothing(inspected: Inspected24) -> None:
    line = inspected.line
    line.run("feedback", "f05", "--right", "--person", "anna")
    command = [sys.executable, "-m", "inspector", "samples", "gather", "-c", str(line.config)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    store = wiring.sample_store(load(line.config))
    held = 0
    for _ in range(3):  # each is killed when it has put one sample more
        running = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]
        until = time.monotonic() + 60
        while running.poll() is None and len(list(store.samples())) <= held and time.monotonic() < until:
            time.sleep(0.01)
        running.kill()
        running.wait()
        held = len(list(store.samples()))
        assert not list(store.damage())
    together = [subprocess.Popen(command, **quiet) for _ in range(2)]  # type: ignore[call-overload]
    assert [one.wait(120) for one in together] == [0, 0]
    assert inspected.gather()["held"] == {"feedback": 1, "normal": 6, "uncertain": 2}
    assert line.run("samples", "verify", check=False).returncode == 0


def test_a_store_or_a_redis_that_is_away_ends_in_one_line(inspected: Inspected24) -> None:
    away = {"INSPECTOR_SAMPLES__PLACE": "s3://b", "INSPECTOR_SAMPLES__ENDPOINT": "http://127.0.0.1:9"}
    for environment in (
        {**away, "INSPECTOR_SAMPLES__TIMEOUT_S": "1", "INSPECTOR_SAMPLES__ACCESS_KEY_ID": "k",
         "INSPECTOR_SAMPLES__SECRET_ACCESS_KEY": "s"},
        {"INSPECTOR_REDIS__URL": "redis://127.0.0.1:9/0"},
    ):  # fmt: skip
        done = inspected.line.run("samples", "gather", check=False, **environment)
        assert done.returncode == 1
        assert done.stderr.startswith("error: expected ")
        assert len(done.stderr.splitlines()) == 1
    assert inspected.gather()["held"] == {"normal": 6, "uncertain": 2}
