"""What producers, the trainer and the HTTP API tell, and that off means off."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.request import urlopen

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from inspector.adapters.kafka.publisher import FramePublisher, PublisherCounts
from inspector.adapters.telemetry.http_requests import CountedApp
from inspector.adapters.telemetry.instruments import Instruments
from inspector.apps.process_telemetry import telling
from inspector.apps.produce_telemetry import camera_telemetry
from inspector.apps.trainer.telemetry import TrainerTelemetry
from inspector.domain.errors import BadInputError
from inspector.domain.metrics import Part, metrics_of
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun
from inspector.settings import Settings

NOON = datetime(2026, 1, 29, 12, tzinfo=UTC)


def told(text: str) -> dict[tuple[str, ...], float]:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def scraped(log: pytest.LogCaptureFixture) -> dict[tuple[str, ...], float]:
    url = next(r.getMessage().split(" at ")[1] for r in log.records if "metrics and probes at" in r.getMessage())
    with urlopen(f"{url}/metrics", timeout=10) as answer:
        return told(answer.read().decode())


def test_off_opens_no_port_and_counts_nothing(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings()
    assert settings.metrics.port is None
    with caplog.at_level("INFO"), camera_telemetry(settings, "cam1") as telemetry:
        telemetry.acknowledged("f", 0, 0)
        telemetry.refused()
    assert not caplog.records


def test_a_producer_tells_what_was_taken_and_what_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = {"dir": tmp_path / "not" / "there" / "yet", "max_bytes": 2**20}
    settings = Settings.model_validate({"metrics": {"port": 0}, "spool": spool})
    counts = PublisherCounts(acked=2, waiting=3, spooled=4, held_up=5, refused=1, spooled_bytes=4096)
    with caplog.at_level("INFO"), camera_telemetry(settings, "cam1") as telemetry:
        telemetry.watch(cast(FramePublisher, SimpleNamespace(counts=counts)))
        telemetry.acknowledged("f1", 0, 0)
        telemetry.acknowledged("f2", 0, 1)
        telemetry.refused()
        scraped(caplog)
        found = scraped(caplog)
    assert found["inspector_produced_frames_total", "cam1", "acknowledged"] == 2
    assert found["inspector_produced_frames_total", "cam1", "refused"] == 1
    assert found["inspector_produced_held_up_frames_total", "cam1"] == 5, "not once more with every scrape"
    assert found["inspector_window_frames", "cam1"] == 3
    assert found["inspector_spool_frames", "cam1"] == 4
    assert found["inspector_spool_bytes", "cam1"] == 4096
    assert found["inspector_spool_max_bytes", "cam1"] == 2**20
    assert found["inspector_disk_size_bytes", "spool"] >= found["inspector_disk_free_bytes", "spool"] > 0


def test_a_port_that_is_taken_ends_the_process_with_a_described_problem(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"), telling(Settings.model_validate({"metrics": {"port": 0}}), Part.SERVE):
        port = int(caplog.records[0].getMessage().rsplit(":", 1)[1])
        settings = Settings.model_validate({"metrics": {"port": port}})
        with pytest.raises(BadInputError, match=r"metrics\.port"), telling(settings, Part.SERVE):
            pass


def test_the_trainer_counts_its_runs() -> None:
    made = Instruments(metrics_of(Part.TRAINER), with_process=False)
    telemetry = TrainerTelemetry(Settings())
    telemetry.begin(made)
    telemetry.running(True)
    telemetry.looked()
    telemetry.ended(TrainerRun("r1", TrainerOutcome.REFUSED, NOON, NOON, "me", 1, "w1"))
    telemetry.look(made)
    found = told(made.text().decode())
    assert found["inspector_trainer_runs_total", "refused"] == 1
    assert found["inspector_trainer_runs_total", "published"] == 0
    assert found["inspector_trainer_running",] == 1
    assert found["inspector_trainer_last_run_timestamp_seconds", "refused"] > 0
    assert found["inspector_disk_free_bytes", "trainer"] > 0


def test_requests_are_counted_by_route_never_by_path() -> None:
    made = Instruments(metrics_of(Part.SERVE), with_process=False)
    app = FastAPI()

    @app.get("/api/frames/{frame_id}")
    async def frame(frame_id: str) -> str:
        if frame_id == "bad":
            raise ValueError("a bug")
        return frame_id

    async def ask(method: str, path: str) -> None:
        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_message: MutableMapping[str, Any]) -> None:
            pass

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [],
            "root_path": "",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
        }
        await CountedApp(app, made)(scope, receive, send)

    for number in range(50):
        asyncio.run(ask("GET", f"/api/frames/{number}"))
        asyncio.run(ask("GET", f"/wp-admin/{number}"))
    asyncio.run(ask("BREW", "/"))
    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(ask("GET", "/api/frames/bad"))
    found = told(made.text().decode())
    counts = {key[1:]: value for key, value in found.items() if key[0] == "inspector_http_requests_total"}
    assert counts == {
        ("2xx", "GET", "/api/frames/{frame_id}"): 50,
        ("5xx", "GET", "/api/frames/{frame_id}"): 1,
        ("4xx", "GET", "other"): 50,
        ("4xx", "other", "other"): 1,
    }
    assert found["inspector_http_request_seconds_count", "/api/frames/{frame_id}"] == 51
