"""Commands that set a line up and read what came out, on real Kafka and Redis."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import frames
import pytest
from line import Line, running_line, wait_for
from local_services import Services

from inspector.adapters.kafka.config_feed import KafkaConfigFeed
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.redis import keys
from inspector.adapters.redis.artefacts import RedisArtefactStore
from inspector.adapters.redis.connection import connect
from inspector.domain.artefact import Announcement, ArtefactKind, Calibration
from inspector.domain.frame import Frame
from inspector.domain.product import CameraSettings, ProductSettings
from inspector.domain.records import from_json
from inspector.domain.result import ScoreMode
from inspector.pipeline import frame_record
from inspector.vision.bank_file import parse_bank

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


@pytest.fixture
def line(services: Services, tmp_path: Path, topic_prefix: str, tiny_model: str) -> Iterator[Line]:
    with running_line(
        services,
        tmp_path,
        topic_prefix,
        model={"name": tiny_model, "pretrained": "random", "threads": 1},
        products={"plate": {"object": "metal plate", "defects": ["scratch", "dent"], "mm_per_px": 0.2}},
        cameras={"cam1": {"product": "plate", "line": "line-7"}},
        spool={"dir": str(tmp_path / "spool")},
    ) as running:
        yield running


def announced(line: Line) -> list[Announcement]:
    """Every record of the config topic, oldest first."""
    records = read_committed(line.connection, f"{line.prefix}config")
    return [from_json(Announcement, record.value or b"") for record in records]


def published(line: Line) -> list[Frame]:
    records = read_committed(line.connection, line.frames_topic, max_value_bytes=2**25)
    return [frame_record.parse(record, lambda _: CameraSettings(), 2**25) for record in records]


def normal_frames(line: Line, first_seed: int) -> str:
    folder = line.dir / f"normal-{first_seed}"
    folder.mkdir()
    for seed in range(first_seed, first_seed + 10):
        (folder / f"{seed}.jpg").write_bytes(frames.jpeg(frames.part(seed)))
    (folder / "damaged.jpg").write_bytes(frames.jpeg(frames.part(0))[:500])
    return str(folder)


def test_enroll_stores_bank_and_thresholds_and_announces_the_thresholds_first(line: Line) -> None:
    done = line.run("enroll", "cam1", normal_frames(line, 100), "--json")
    facts = json.loads(done.stdout)
    assert facts["frames"] == 10
    assert "damaged.jpg" in done.stderr

    calibration_record, bank_record = announced(line)
    assert (calibration_record.kind, bank_record.kind) == (ArtefactKind.CALIBRATION, ArtefactKind.BANK)
    assert {calibration_record.subject, bank_record.subject} == {"cam1"}
    assert bank_record.version == facts["bank_version"]
    artefacts = RedisArtefactStore(connect(line.redis_url))
    _, info = parse_bank(artefacts.get(bank_record.version))
    assert info.weights_version == facts["weights_version"]
    calibration = from_json(Calibration, artefacts.get(calibration_record.version))
    assert calibration.mode is ScoreMode.BANK
    assert calibration.bank_version == bank_record.version

    again = json.loads(
        line.run("calibrate", "cam1", normal_frames(line, 200), "--false-alarm-rate", "0.1", "--json").stdout
    )
    assert again["bank_version"] == facts["bank_version"]
    assert again["calibration_version"] != facts["calibration_version"]
    client = connect(line.redis_url)
    expiring = [client.ttl(keys.artefact(facts[name])) > 0 for name in ("calibration_version", "bank_version")]
    assert expiring == [True, False]
    assert [record.kind for record in announced(line)][2:] == [ArtefactKind.CALIBRATION]
    listed = json.loads(line.run("config", "list", "--json").stdout)
    assert {(entry["kind"], entry["version"]) for entry in listed} == {
        ("bank", facts["bank_version"]),
        ("calibration", again["calibration_version"]),
    }


def test_config_push_announces_what_changed_and_only_that(line: Line) -> None:
    first = json.loads(line.run("config", "push", "--json").stdout)
    assert [(entry["what"], entry["announced"]) for entry in first] == [("product/plate", True), ("camera/cam1", True)]
    artefacts = RedisArtefactStore(connect(line.redis_url))
    product = from_json(ProductSettings, artefacts.get(first[0]["version"]))
    assert product.vocabulary.defect_types == ("scratch", "dent")

    settings = json.loads(line.config.read_text())
    settings["cameras"]["cam1"]["image_threshold"] = 0.7
    line.config.write_text(json.dumps(settings))
    second = json.loads(line.run("config", "push", "--json").stdout)
    assert [entry["announced"] for entry in second] == [False, True]
    feed = KafkaConfigFeed(line.connection, f"{line.prefix}config")
    live = {announcement.key: announcement.version for announcement in feed.poll()}
    feed.close()
    assert live == {entry["what"]: entry["version"] for entry in second}
    camera = from_json(CameraSettings, artefacts.get(live["camera/cam1"]))
    assert camera.image_threshold == 0.7


def test_produce_publishes_a_virtual_line_and_keeps_the_truth_to_itself(line: Line) -> None:
    truth = line.dir / "truth"
    arguments = ("--camera", "cam1", "--limit", "5", "--truth-dir", str(truth), "--json")
    facts = json.loads(line.run("produce", "sim:plate?rate=1", *arguments).stdout)
    assert (facts["published"], facts["waiting"], facts["refused"]) == (5, 0, 0)
    sent = published(line)
    entries = [json.loads(text) for text in (truth / "truth.jsonl").read_text().splitlines()]
    assert [frame.meta.frame_id for frame in sent] == [entry["frame_id"] for entry in entries]
    assert all(entry["defects"] and (truth / entry["mask"]).is_file() for entry in entries)
    assert all(frame.meta.part_id and frame.meta.lot and frame.meta.camera_id == "cam1" for frame in sent)
    assert len({frame.meta.frame_id for frame in sent}) == 5


def test_produce_told_to_stop_flushes_and_ends_well(line: Line) -> None:
    command = [sys.executable, "-m", "inspector", "produce", "sim:plate", "--camera", "cam1", "--rate", "20", "--json"]
    process = subprocess.Popen(
        [*command, "-c", str(line.config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: (line.lag() or 0) >= 3, 60, line.logs)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["published"] == len(published(line)) >= 3


def test_produce_leaves_out_a_frame_that_is_too_large_and_says_so(line: Line) -> None:
    folder = line.dir / "images"
    folder.mkdir()
    for seed in range(3):
        (folder / f"{seed}.jpg").write_bytes(frames.jpeg(frames.part(seed)))
    (folder / "huge.jpg").write_bytes(b"\xff\xd8\xff" + bytes(17 * 2**20))
    done = line.run("produce", str(folder), "--camera", "cam2", check=False)
    assert done.returncode == 1
    assert "1 refused" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("error: expected frames that Kafka takes, got 1 refused")
    assert len(published(line)) == 3


def test_what_an_inspector_found_is_read_back(line: Line) -> None:
    line.run("enroll", "cam1", normal_frames(line, 100))
    line.publish(
        {"key": b"cam1", "value": frames.jpeg(frames.part(seed, marked=seed % 2 == 1))} for seed in range(300, 308)
    )
    line.publish([{"key": b"\x1b[2J", "value": frames.jpeg(frames.part(1))}])
    line.start_inspector("a")
    line.wait_drained()

    alerts = [json.loads(text) for text in line.run("alerts", "--json").stdout.splitlines()]
    assert len(alerts) == len(line.alerts()) >= 4
    last = json.loads(line.run("alerts", "--last", "1", "--json").stdout)
    assert last["captured_at"] == max(alert["captured_at"] for alert in alerts)
    assert line.run("alerts", "--since", "2199-01-01").stdout == ""
    assert "cam1" in line.run("alerts").stdout

    found = json.loads(line.run("results", "cam1", "--last", "100", "--json").stdout)
    assert len(found) == 8
    assert {result["product"] for result in found} == {"plate"}
    assert {result["line_id"] for result in found} == {"line-7"}
    overlays = line.dir / "overlays"
    defects = json.loads(line.run("results", "cam1", "--defects-only", "--overlay-dir", str(overlays), "--json").stdout)
    assert {result["pred_label"] for result in defects} == {"anomalous"}
    assert len(list(overlays.iterdir())) == len(defects)
    assert [entry["camera_id"] for entry in json.loads(line.run("cameras", "--json").stdout)] == ["cam1"]

    unknown = line.run("results", "cam9", check=False)
    assert unknown.returncode == 1
    (problem,) = unknown.stderr.splitlines()
    assert "there are cam1" in problem


def test_a_record_that_is_no_alert_does_not_hide_the_others(line: Line) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=line.services.kafka_bootstrap)
    producer.send(f"{line.prefix}alerts", b"\x1b[2J{").get(30)
    producer.close()
    done = line.run("alerts")
    assert done.stdout == ""
    assert "skipped" in done.stderr
    assert "\x1b" not in done.stderr


def test_doctor_and_topics_check_tell_health_from_illness(line: Line) -> None:
    assert json.loads(line.run("doctor", "--json").stdout)["healthy"] is True
    assert json.loads(line.run("topics", "check", "--json").stdout)["findings"] == []
    settings = json.loads(line.config.read_text())
    settings["kafka"]["alerts_topic"] = f"{line.prefix}nowhere"
    settings["kafka"]["partitions"] = 12
    line.config.write_text(json.dumps(settings))
    ill = line.run("doctor", "--json", check=False)
    assert ill.returncode == 1
    failed = [finding for finding in json.loads(ill.stdout)["findings"] if finding["status"] == "fail"]
    assert [finding["check"] for finding in failed] == ["topics"]
    assert "topics create" in failed[0]["do"]
    checked = line.run("topics", "check", check=False)
    assert checked.returncode == 1
    assert "differs" in checked.stdout


@pytest.mark.parametrize(
    ("variable", "value", "arguments", "named"),
    [
        ("INSPECTOR_KAFKA__ALERTS_TOPIC", "t-nowhere", ["alerts"], "t-nowhere"),
        ("INSPECTOR_KAFKA__CONFIG_TOPIC", "t-nowhere", ["config", "list"], "t-nowhere"),
        ("INSPECTOR_KAFKA__FRAMES_TOPIC", "t-nowhere", ["produce", "sim:plate", "--camera", "c"], "t-nowhere"),
        ("INSPECTOR_REDIS__URL", "redis://nobody:hush@HOST", ["results", "cam1"], "let us in"),
    ],
)  # fmt: skip
def test_wrong_topic_and_wrong_credentials(
    line: Line, variable: str, value: str, arguments: list[str], named: str
) -> None:
    value = value.replace("HOST", line.services.redis_url.removeprefix("redis://"))
    done = subprocess.run(
        [sys.executable, "-m", "inspector", *arguments, "-c", str(line.config)],
        capture_output=True,
        text=True,
        env={**os.environ, variable: value},
        timeout=120,
    )
    assert done.returncode == 1
    (problem,) = done.stderr.splitlines()
    assert problem.startswith("error: expected ")
    assert named in problem
    assert "hush" not in problem
