"""The whole line over TLS with passwords, each process in its own role, and what happens where one is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from certificates import Authority
from kafka import KafkaProducer
from secured import ADMIN, ROLES, SECRET, Secured, run

from inspector.adapters.kafka.build import build
from inspector.adapters.kafka.clients import close_producer
from inspector.adapters.kafka.lag import group_lag
from inspector.adapters.kafka.publisher import FramePublisher
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.redis import keys
from inspector.adapters.telemetry.instruments import Instruments
from inspector.apps import watch
from inspector.domain.errors import CredentialsError, ServiceUnavailableError
from inspector.domain.frame import FrameMeta
from inspector.domain.metrics import Part, metrics_of
from inspector.settings import load

pytestmark = [pytest.mark.services, pytest.mark.timeout(1800)]

WAIT_S = 600.0  # a hang, not a slow machine
HOSTILE_IDS = ("\x1b[2Jcleared", 'x\r\n{"level": "error"}', "A" * 10_240, "right\u202etfel", "\x9b31m", "nul\0")
# Odd, but nothing can be seen of them that is not so: they are taken, and must not lead out of a folder.
HARMLESS_IDS = ("../../../escaped", "/tmp/absolute", "[bold red]markup[/]", "$(touch owned)")
WORKING = ("producer", "inspector", "operator", "setup", "reconcile", "watch")


@contextmanager
def inspecting(config: Path, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "inspector", "inspect", "-c", str(config)],
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_for(done: Callable[[], bool], log: Path) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < deadline_s, log.read_text()[-3000:]
        time.sleep(0.5)


def lag(secured: Secured) -> int | None:
    try:
        return sum(group_lag(secured.connection(ADMIN), "inspectors", "inspection.frames").values())
    except ServiceUnavailableError:
        return None  # a fresh broker makes its group coordinator


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    noise = np.random.default_rng(3)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), noise.integers(0, 255, (64, 64, 3), np.uint8))
    return folder


def command_lines() -> str:
    """What everybody on the machine can read of the processes that run."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(line for line in lines if "inspector" in line)


def test_every_role_does_its_work_over_tls_with_no_rights_but_its_own(
    secured: Secured, tmp_path: Path, tiny_model: str
) -> None:
    first, second = (f"cam-{uuid.uuid4().hex[:8]}" for _ in range(2))
    shared = {
        "model": {"name": tiny_model, "pretrained": "random", "threads": 1},
        # Every frame is a defect: alerts are what is to be seen here, not verdicts.
        "cameras": {first: {"mode": "zero_shot", "image_threshold": 0.0}, second: {"mode": "bank"}},
        "spool": {"dir": str(tmp_path / "spool")},
        "log_level": "DEBUG",
    }
    config = {role: secured.settings_file(role, **shared) for role in WORKING}
    said = []

    def ok(role: str, *arguments: str) -> str:
        done = run(config[role], *arguments)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout + done.stderr)
        return done.stdout

    frames = pictures(tmp_path / "frames", 12)
    ok("setup", "enroll", second, str(frames))
    ok("setup", "calibrate", second, str(frames))
    ok("setup", "config", "push")
    assert len(json.loads(ok("setup", "config", "list", "--json"))) >= 2
    ok("producer", "produce", str(frames), "--camera", first)
    ok("producer", "produce", str(frames), "--camera", second)
    publish_hostile(secured, first, (frames / "0.png").read_bytes())

    log = tmp_path / "inspect.log"
    wrong_authority = secured.settings_file(
        "inspector", "inspector-wrong-authority", kafka={"security": {"ca_file": None}}, **shared
    )
    with inspecting(wrong_authority, log):
        wait_for(lambda: "certificate verify failed" in log.read_text(), log)
    said.append(log.read_text())
    with inspecting(config["inspector"], log) as process:
        wait_for(lambda: lag(secured) == 0, log)
        seen = command_lines()
        assert "inspect -c" in seen
        assert SECRET not in seen
        assert process.poll() is None
    said.append(log.read_text())
    assert process.returncode == 0

    alerts = [json.loads(line) for line in ok("operator", "alerts", "--json").splitlines()]
    of_first = [alert for alert in alerts if alert["camera_id"] == first]
    assert len(of_first) == len({alert["frame_id"] for alert in of_first}) == 12 + len(HARMLESS_IDS)
    results = json.loads(ok("operator", "results", first, "--json"))
    assert {result["frame_id"] for result in results} == {alert["frame_id"] for alert in of_first}
    assert len(json.loads(ok("operator", "results", second, "--json"))) == 12
    ok("operator", "cameras")
    letters = read_committed(secured.connection("operator"), "inspection.dead-letter")
    reasons = [dict(letter.headers)["reason"] for letter in letters if letter.key == first.encode()]
    assert reasons == [b"malformed_header"] * len(HOSTILE_IDS)
    ok("operator", "results", first, "--overlay-dir", str(tmp_path / "inside" / "overlays"))
    outside = [path for path in tmp_path.rglob("*.jpg") if not path.is_relative_to(tmp_path / "inside" / "overlays")]
    assert outside == []
    assert len(list((tmp_path / "inside" / "overlays").iterdir())) == 12 + len(HARMLESS_IDS)
    ok("operator", "explain", results[0]["frame_id"])
    assert run(config["operator"], "config", "push").returncode == 1
    gone = keys.result(results[0]["frame_id"])
    secured.redis(ADMIN).delete(gone)
    missing = run(config["watch"], "reconcile", "--camera", first, "--json")
    assert (missing.returncode, json.loads(missing.stdout)["left"]) == (1, {"result_missing": 1})
    assert run(config["watch"], "reconcile", "--camera", first, "--repair").returncode == 1
    assert not secured.redis(ADMIN).exists(gone), "who watches repairs nothing"
    ok("reconcile", "reconcile", "--camera", first, "--repair")
    assert secured.redis(ADMIN).exists(gone)
    watched = Instruments(metrics_of(Part.WATCH), with_process=False)
    for look in (
        watch.look_at_lag,
        watch.look_at_cameras,
        watch.look_at_trainer,
        watch.OutcomeLooks().look_at_outcomes,
        watch.look_at_drift,
    ):
        look(load(config["watch"]), watched)  # raises where a right is missing
    assert f'{{camera_id="{second}"}}' in watched.text().decode()
    compared = json.loads(ok("watch", "reconcile", "--camera", first, "--json"))
    assert compared["consistent"]
    assert compared["frames"] >= 12 + len(HARMLESS_IDS)
    assert SECRET not in "\n".join(said)
    shown = [line for text in said for line in text.split("\n")]
    assert not [line for line in shown if not line.isprintable()]


def publish_hostile(secured: Secured, camera_id: str, image: bytes) -> None:
    """Send frames with the ids of an enemy, past our own producer, which would not."""
    options = secured.connection("producer").client_options()
    producer = build(KafkaProducer, **options, enable_idempotence=False, acks="all")
    for frame_id in (*HOSTILE_IDS, *(f"{harmless} {camera_id}" for harmless in HARMLESS_IDS)):
        headers = [("frame_id", frame_id.encode())]
        producer.send("inspection.frames", key=camera_id.encode(), value=image, headers=headers).get(30)
    close_producer(producer, 5.0)


@pytest.mark.parametrize("who", ["wrong password", "inspector", "operator"])
def test_a_producer_that_is_refused_keeps_its_frames_for_the_day_it_is_let_in(
    secured: Secured, tmp_path: Path, who: str
) -> None:
    right = secured.connection("producer")
    wrong = secured.connection(who) if who in ROLES else replace(right, sasl_password=f"{SECRET}-wrong")
    stopped = FramePublisher(wrong, "inspection.frames", tmp_path, 1_000_000)
    stopped.publish(b"image", _meta("kept-0"))  # taken: nobody has been refused yet
    with pytest.raises(CredentialsError):
        stopped.flush(30)
    with pytest.raises(CredentialsError):
        stopped.publish(b"image", _meta("not-taken"))
    stopped.close(0)

    acked: list[str] = []
    let_in = FramePublisher(
        right, "inspection.frames", tmp_path, 1_000_000, on_ack=lambda frame_id, *_: acked.append(frame_id)
    )
    let_in.publish(b"image", _meta("kept-1"))
    assert let_in.flush(30)
    let_in.close()
    assert acked == ["kept-0", "kept-1"]


def _meta(frame_id: str) -> FrameMeta:
    return FrameMeta(frame_id, "cam-kept", "line-1", "default", datetime.now(UTC), "image/jpeg")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"INSPECTOR_KAFKA__SECURITY__PASSWORD_FILE": "WRONG"}, "Authentication failed"),
        ({"INSPECTOR_REDIS__CA_FILE": "OTHER"}, "certificate verify failed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_doctor_says_what_is_wrong_and_shows_no_secret(
    secured: Secured, tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    (tmp_path / "wrong").write_text(f"{SECRET}-wrong")
    places = {"WRONG": str(tmp_path / "wrong"), "OTHER": str(Authority(tmp_path / "other").file)}
    config = secured.settings_file("administrator", "doctor", log_level="DEBUG")
    done = run(config, "doctor", "--json", **{name: places.get(value, value) for name, value in environment.items()})
    assert done.returncode == 1
    failed = [finding for finding in json.loads(done.stdout)["findings"] if finding["status"] == "fail"]
    assert says in f"{failed[0]['found']}: {failed[0]['do']}"
    assert SECRET not in done.stdout + done.stderr
