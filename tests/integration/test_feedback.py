"""What people say of frames, on real Kafka and Redis: kept once, told alike by command and HTTP, never averaged."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from kafka import KafkaProducer
from line import Line, running_line
from local_services import Services
from PIL import Image

from inspector.adapters.artefacts import version_of
from inspector.adapters.kafka.feedback_log import read_book, read_feedback
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.kafka.topics import check_topics
from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.result_store import RedisResultStore
from inspector.adapters.redis.retention import Retention
from inspector.apps import wiring
from inspector.apps.feedback_desk import FeedbackDesk
from inspector.domain.defect import Box, Defect
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Inspected
from inspector.domain.records import to_json
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.alert_record import make_alert
from inspector.pipeline.feedback_rules import FeedbackRequest
from inspector.settings import Settings, load

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

NOW = datetime.now(UTC)
W, H = 64, 48
SCRATCH = Defect("scratch", 0.9, 700, 40, 0.01, Box(10, 20, 30, 5), (), "a scratch")
RESULT = InspectionResult(
    "f-anomalous", "cam1", "line-1", "plate", NOW, NOW, 0.9, PredLabel.ANOMALOUS, 0.5, ScoreMode.BANK, "ab" * 32, "m",
    FrameSource("frames", 0, 1), {}, W, H, (SCRATCH,),
)  # fmt: skip
NORMAL = replace(
    RESULT,
    frame_id="f-normal",
    pred_label=PredLabel.NORMAL,
    anomaly_score=0.1,
    defects=(),
    source=FrameSource("frames", 0, 2),
)
GONE = replace(NORMAL, frame_id="f-gone", source=FrameSource("frames", 0, 3))
PLATE = {"plate": {"object": "metal plate", "defects": ["scratch", "bent lead"]}}
TOKEN = "a-token-of-this-test"


@dataclass
class Desk:
    """A line with three inspected frames, one of them gone by retention; ``config`` knows no product, Kafka does."""

    line: Line
    settings: Settings

    @property
    def topic(self) -> str:
        return self.settings.kafka.feedback_topic

    def said(self) -> list[Feedback]:
        return list(read_feedback(self.line.connection, self.topic))

    @contextmanager
    def open(self) -> Iterator[FeedbackDesk]:
        with closing(FeedbackDesk(self.settings)) as desk:
            yield desk

    def publish(self, key: bytes | None, value: bytes) -> None:
        producer = KafkaProducer(bootstrap_servers=self.line.services.kafka_bootstrap, acks="all")
        with closing(producer):
            producer.send(self.topic, key=key, value=value).get(20)


@pytest.fixture
def desk(services: Services, tmp_path: Path, topic_prefix: str) -> Iterator[Desk]:
    with running_line(services, tmp_path, topic_prefix, serve={"port": 0}) as line:
        client = connect(line.redis_url)
        retention = Retention(good_s=3600, defect_s=3600, good_per_camera=100, defect_per_camera=100, duplicate_s=3600)
        store = RedisResultStore(client, group_id=f"{topic_prefix}group", retention=retention)
        store.store([Inspected(one.source, one, make_alert(one)) for one in (RESULT, NORMAL, GONE)], 1)
        client.delete(keys.result(GONE.frame_id))
        client.close()
        _announce_products(line)
        yield Desk(line, load(line.config))


def _announce_products(line: Line) -> None:
    """Announce the product from elsewhere: the settings here, as an operator's, name none."""
    settings = json.loads(line.config.read_text())
    elsewhere = replace(line, config=line.dir / "elsewhere.yaml")
    elsewhere.config.write_text(json.dumps({**settings, "products": PLATE}))
    elsewhere.run("config", "push")


@contextmanager
def serving(line: Line, **environment: str) -> Iterator[str]:
    """Run `inspector serve` and yield its address."""
    command = [sys.executable, "-m", "inspector", "serve", "-c", str(line.config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert process.stderr is not None
    try:
        lines: list[str] = []
        for said in process.stderr:
            lines.append(said)
            if found := re.search(r"serving (http://\S+?)(,|$)", said.strip()):
                break
        else:
            pytest.fail("".join(lines))
        yield found[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def drawn(width: int = W, height: int = H) -> bytes:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[5:9, 10:20] = (255, 0, 0)
    return png(pixels)


def test_a_correction_typed_at_a_terminal_is_on_the_topic_and_in_the_list(desk: Desk) -> None:
    mask = desk.line.dir / "mask.png"
    mask.write_bytes(drawn())
    arguments = ("--wrong", "--type", "Bent Lead", "--mask", str(mask), "--note", "pin 3", "--person", "anna")
    answer = json.loads(desk.line.run("feedback", "f-normal", *arguments, "--json").stdout)
    (record,) = read_committed(desk.line.connection, desk.topic)
    (said,) = desk.said()
    assert record.key == b"f-normal"
    assert answer["feedback_id"] == said.feedback_id
    # The vocabulary was announced by another machine; this one's settings name no product.
    assert (said.defect_type, said.new_type, answer["remarks"]) == ("bent lead", False, [])
    assert (said.true_label, said.pred_label, said.weights_version) == ("anomalous", "normal", RESULT.weights_version)
    assert abs(said.given_at - datetime.now(UTC)) < timedelta(minutes=2)
    kept = wiring.feedback_masks(desk.settings).get(said.mask_version or "")
    with Image.open(io.BytesIO(kept)) as image:
        assert (image.size, image.mode, np.count_nonzero(np.asarray(image))) == ((W, H), "L", 4 * 10)
    assert version_of(kept) == said.mask_version
    (listed,) = json.loads(desk.line.run("feedback", "--list", "cam1", "--json").stdout)
    assert listed == answer["feedback"]
    assert "pin 3" in desk.line.run("feedback", "--list").stdout
    assert json.loads(desk.line.run("feedback", "cam2", "--list", "--json").stdout) == []


def test_a_new_type_is_taken_and_offered_at_the_terminal(desk: Desk) -> None:
    done = desk.line.run("feedback", "f-anomalous", "--wrong", "--type", "solder ball", "--box", "0,0,8,8")
    assert "products.plate.defects" in done.stderr
    (said,) = desk.said()
    assert (said.defect_type, said.new_type, said.boxes) == ("solder ball", True, (Box(0, 0, 8, 8),))
    assert said.person  # the login name


def test_repeated_and_corrected_feedback_is_one_word_and_the_last(desk: Desk) -> None:
    request = FeedbackRequest("f-anomalous", FeedbackVerdict.WRONG, "anna")
    with desk.open() as open_desk:
        for verdict in (FeedbackVerdict.WRONG, FeedbackVerdict.WRONG, FeedbackVerdict.RIGHT):
            open_desk.take(replace(request, verdict=verdict))
        book = open_desk.book()
    assert len(desk.said()) == 3
    assert len(book) == 1
    assert book.settled()["f-anomalous"].verdict is FeedbackVerdict.RIGHT


def test_a_conflict_between_the_terminal_and_the_page_is_shown_by_both(desk: Desk) -> None:
    body = {"frame_id": "f-anomalous", "verdict": "wrong", "person": "bert"}
    with serving(desk.line) as address:
        assert httpx2.get(f"{address}/api/v1/feedback/conflicts").json() == []
        desk.line.run("feedback", "f-anomalous", "--right", "--person", "anna")
        assert httpx2.post(f"{address}/api/v1/feedback", json=body, timeout=30).status_code == 201
        shown = httpx2.get(f"{address}/api/v1/feedback/conflicts", timeout=30).json()
    assert [one["person"] for one in shown[0]["feedback"]] == ["anna", "bert"]
    assert json.loads(desk.line.run("feedback", "--conflicts", "--json").stdout) == shown
    assert read_book(desk.line.connection, desk.topic).settled() == {}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"frame_id": "f-never"}, "retention"),
    ({"frame_id": "f-gone"}, "gone by retention"),
    ({"boxes": [[60, 0, 8, 8]]}, f"{W} x {H}"),
    ({"mask_png_base64": base64.b64encode(drawn(W + 1)).decode()}, f"{W + 1} x {H}"),
    ({"mask_png_base64": base64.b64encode(drawn()[:-30]).decode()}, "PNG"),
    ({"person": "a\u001b[2Jb"}, "a person's name"),
    ({"note": "x" * 100_000}, "100000"),
    ({"defect_type": "x" * 81}, "defect_type"),
    ({"defect_type": None, "frame_id": "f-normal"}, "missed"),
]


def test_the_terminal_and_the_page_refuse_alike_and_nothing_is_kept(desk: Desk) -> None:
    said = {"frame_id": "f-anomalous", "verdict": "wrong", "person": "anna", "defect_type": "bent lead"}
    with serving(desk.line) as address:
        for changes, reason in REFUSED:
            body = {**said, **changes}
            answer = httpx2.post(f"{address}/api/v1/feedback", json=body, timeout=30)
            assert answer.status_code == (404 if body["frame_id"] in ("f-never", "f-gone") else 422), answer.text
            detail = answer.json()["detail"]
            assert reason in detail
            assert len(detail) < 600
            with desk.open() as open_desk, pytest.raises(BadInputError) as caught:
                open_desk.take(_request(body))
            assert f"expected {caught.value.expected}, got " in detail
            assert detail.endswith(caught.value.do)
    assert desk.said() == []
    assert list(connect(desk.line.redis_url).scan_iter(keys.feedback_mask("*"))) == []


def _request(body: dict[str, Any]) -> FeedbackRequest:
    mask = body.get("mask_png_base64")
    return FeedbackRequest(
        frame_id=body["frame_id"],
        verdict=FeedbackVerdict(body["verdict"]),
        person=body["person"],
        defect_type=body["defect_type"],
        boxes=tuple(Box(*box) for box in body.get("boxes", ())),
        mask=None if mask is None else base64.b64decode(mask),
        note=body.get("note", ""),
    )


def test_what_others_write_to_the_topic_hides_nothing_and_rules_nobody(desk: Desk) -> None:
    with desk.open() as open_desk:
        open_desk.take(FeedbackRequest("f-anomalous", FeedbackVerdict.RIGHT, "anna"))
    (true,) = desk.said()
    far_ahead = replace(true, person="bert", given_at=NOW + timedelta(days=3650))
    desk.publish(b"f-anomalous", b"no json")
    desk.publish(b"another-frame", to_json(replace(true, person="cleo")))
    desk.publish(None, to_json(replace(true, person="cleo")))
    desk.publish(b"f-anomalous", to_json(true).replace(b"feedback/1", b"feedback/2"))
    desk.publish(b"f-anomalous", to_json(far_ahead))
    skipped: list[str] = []
    book = read_book(desk.line.connection, desk.topic, lambda record, error: skipped.append(str(error)))
    assert set(book.by_person()) == {"anna", "bert"}
    assert len(skipped) == 4
    # A clock ten years ahead has not the last word for ten years.
    assert book.by_person()["bert"][0].given_at < datetime.now(UTC) + timedelta(minutes=2)


def test_the_page_asks_for_the_token_of_its_file(desk: Desk) -> None:
    file = desk.line.dir / "token"
    file.write_text(f"{TOKEN}\n")
    with serving(desk.line, INSPECTOR_SERVE__TOKEN_FILE=str(file)) as address:
        url = f"{address}/api/v1/feedback/conflicts"
        assert httpx2.get(url).status_code == 401
        assert httpx2.get(url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30).status_code == 200
        assert httpx2.get(f"{address}/healthz").status_code == 200
        port = address.rsplit(":", 1)[1]
        taken = desk.line.run("serve", check=False, INSPECTOR_SERVE__PORT=port)
    assert taken.returncode == 1
    assert "serve.port" in taken.stderr
    exposed = desk.line.run("serve", check=False, INSPECTOR_SERVE__HOST="0.0.0.0")
    assert exposed.returncode == 1
    assert "serve.token_file" in exposed.stderr


def test_the_topic_is_as_planned_and_keeps_what_people_said_for_years(desk: Desk) -> None:
    plan = wiring.topic_plan(desk.settings)
    (spec,) = [spec for spec in plan.specs() if spec.name == desk.topic]
    assert int(spec.settings["retention.ms"]) >= 3650 * 24 * 3600 * 1000
    assert spec.settings["cleanup.policy"] == "delete"
    assert [finding for finding in check_topics(desk.line.connection, plan) if finding.topic == desk.topic] == []
