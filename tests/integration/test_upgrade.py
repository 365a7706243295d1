"""A rolling upgrade under load: two releases in one group, restarted in turn; nothing is lost, nothing comes twice."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from kafka import KafkaProducer
from line import wait_for
from local_services import Services
from small_line import SmallLine, small_line
from truth import record

from inspector.adapters.artefacts import version_of
from inspector.adapters.redis import keys
from inspector.apps.console import print_table
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.product import CameraSettings
from inspector.domain.records import to_json

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

THIS, NEXT = "inspection.result/1", "inspection.result/1.1"
REPLICAS = ("a", "b", "c")
# One on each of the six partitions: whatever an inspector is assigned, it has something to write.
CAMERAS = ("cam0", "cam1", "cam2", "cam5", "cam11", "cam15")


def publish(line: SmallLine, how_many: int) -> None:
    """Publish frames, camera by turns: every other one by a producer of the next minor version; some are no images."""
    numbers = range(line.published, line.published + how_many)
    line.line.publish(frame(number) for number in numbers)
    line.published += how_many


def frame(number: int) -> dict[str, object]:
    rejected = number % 20 == 7
    image = (b"chaos/reject:undecodable\n" if rejected else b"frame ") + f"{number} ".encode() * 40
    expected = "rejected:undecodable" if rejected else "inspected"
    made = record(CAMERAS[number % len(CAMERAS)], f"f{number:06}", image, number // len(CAMERAS), expected)
    headers = list(made["headers"])
    if number % 2:
        headers += [("schema", b"inspection.frame/1.1"), ("exposure_us", b"\xff\xfe"), ("spectrum", b"x" * 500)]
    return {**made, "headers": headers}


def written_as(line: SmallLine) -> Counter[str]:
    """Count the results in Redis by the schema that they say they are of."""
    client = redis.Redis.from_url(line.line.redis_url)
    texts = client.mget(list(client.scan_iter("inspection:result:*", 1000)) or ["none"])
    return Counter(json.loads(text)["schema"] for text in texts if text)


def roll(line: SmallLine, replica: str, running: subprocess.Popen[bytes], *options: str) -> subprocess.Popen[bytes]:
    """Tell one inspector to leave and start another release under its name; wait until it has taken the line up."""
    before = written_as(line)
    running.terminate()
    assert running.wait(60) == 0, line.line.logs()
    started = line.start(replica, *options)
    schema = NEXT if options else THIS
    wait_for(lambda: written_as(line)[schema] > before[schema], 120, line.line.logs)
    return started


def announce_of_the_next_minor(line: SmallLine) -> None:
    """Announce settings of a camera as the next release's `config push` would."""
    settings = json.dumps({**json.loads(to_json(CameraSettings(line_id="line-9"))), "colour": "blue"}).encode()
    redis.Redis.from_url(line.line.redis_url).set(keys.artefact(version_of(settings)), settings)
    entry = Announcement(ArtefactKind.CAMERA, "cam0", version_of(settings), datetime.now(UTC))
    document = {**json.loads(to_json(entry)), "schema": "inspection.config/1.1", "by": "somebody"}
    producer = KafkaProducer(bootstrap_servers=line.line.services.kafka_bootstrap)
    producer.send(f"{line.line.prefix}config", key=entry.key.encode(), value=json.dumps(document).encode()).get(30)
    producer.close()


def test_a_rolling_upgrade_under_load_loses_nothing_and_repeats_nothing(
    services: Services, tmp_path: Path, topic_prefix: str
) -> None:
    with small_line(services, tmp_path, topic_prefix) as line:
        running = {replica: line.start(replica) for replica in REPLICAS}
        over = threading.Event()

        def produce() -> None:
            while not over.is_set():
                publish(line, 60)
                time.sleep(1.0)

        producing = threading.Thread(target=produce)
        producing.start()
        try:
            wait_for(lambda: written_as(line)[THIS] > 50, 120, line.line.logs)
            running["a"] = roll(line, "a", running["a"], "--plant", "injected.next_minor")
            # Two releases in one group: each goes on writing, each takes what the next one announces.
            mixed = written_as(line)
            announce_of_the_next_minor(line)
            both = (THIS, NEXT)
            wait_for(lambda: all(written_as(line)[s] > mixed[s] + 20 for s in both), 120, line.line.logs)
            for replica in ("b", "c"):
                running[replica] = roll(line, replica, running[replica], "--plant", "injected.next_minor")
            running["a"] = roll(line, "a", running["a"])  # and one back: a release that did not please
        finally:
            over.set()
            producing.join()
        line.line.wait_drained()
        for process in running.values():
            process.terminate()
        assert [process.wait(60) for process in running.values()] == [0, 0, 0]

        found = line.check()
        print_table(found.as_table())
        assert found.clean
        # This release reads what both have written: results, alerts, dead letters; and nothing was refused.
        assert Counter(result.schema for result in line.line.results().values()) == written_as(line)
        assert {alert.schema for alert in line.line.alerts()} == {"inspection.alert/1", "inspection.alert/1.1"}
        letters = {dict(letter.headers)["schema"] for letter in line.line.dead_letters()}
        assert letters == {b"inspection.dead-letter/1", b"inspection.dead-letter/1.1"}
        assert {result.line_id for result in line.line.results().values() if result.camera_id == "cam0"} >= {"line-9"}
        assert json.loads(line.line.run("reconcile", "--json").stdout)["found"] == {}
        assert "refused configuration" not in line.line.logs()
