"""``explain`` and ``find`` on results in a real Redis: the camera's recent frames, and regions found by words."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import one_line_problem, run
from local_services import Services
from numpy.typing import NDArray

from inspector import settings as settings_module
from inspector.adapters.kafka.weights_feed import announce_release
from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.result_store import RedisResultStore
from inspector.adapters.redis.retention import Retention
from inspector.adapters.redis.scratch import ScratchCameras
from inspector.apps import model_wiring, wiring
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.text import encode_vocabularies
from inspector.dapo.weights_file import weights_bytes
from inspector.domain.defect import Box, Defect
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Evidence, Inspected
from inspector.domain.product import Vocabulary
from inspector.domain.release import WeightsRelease
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.settings.sections import KafkaSettings
from inspector.vision.region_embeddings import MadeWith, RegionEmbeddings, dump_regions

pytestmark = pytest.mark.services

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
SCRATCH = Defect(
    *("scratch", 0.9, 700, 40, 0.01, Box(10, 20, 30, 5), (), "a scratch"),
    type_probability=0.6,
    runner_up="dent",
    runner_up_probability=0.3,
)
DENT = replace(SCRATCH, defect_type="dent", runner_up="scratch", box=Box(800, 800, 30, 30))
TEXT = "long thin scratch near the rim"


@dataclass
class Stored:
    """Two cameras of one test, and what a query and a good part look like to the weights in use."""

    client: Any
    store: RedisResultStore
    prefix: str
    made_with: MadeWith
    wanted: NDArray[np.float32]
    normal: NDArray[np.float32]

    def camera(self, number: int = 1) -> str:
        return f"{self.prefix}cam{number}"

    def put(self, number: int, *defects: Defect, rows: Any = (), camera: int = 1, **changes: Any) -> str:
        label = PredLabel.ANOMALOUS if defects else PredLabel.NORMAL
        source = FrameSource(f"{self.prefix}frames", camera, number)
        result = InspectionResult(
            frame_id=f"{self.prefix}{camera}-{number}",
            camera_id=self.camera(camera),
            line_id="line-1",
            product="default",
            captured_at=START + timedelta(seconds=number),
            inspected_at=START + timedelta(seconds=number),
            anomaly_score=0.9 if defects else 0.1,
            pred_label=label,
            image_threshold=0.5,
            mode=ScoreMode.BANK,
            weights_version=self.made_with.weights_version,
            model=self.made_with.model,
            source=source,
            timings_ms={},
            width_px=1000,
            height_px=1000,
            defects=defects,
            weights_trained=False,
        )
        regions = changes.pop("regions", None)
        if len(rows):
            values = np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float16)
            regions = dump_regions(RegionEmbeddings(values, self.made_with))
        inspected = Inspected(source, replace(result, **changes), None, Evidence(regions=regions))
        self.store.store([inspected], 1)
        return inspected.result.frame_id


@pytest.fixture
def stored(tiny_settings: Path, services: Services) -> Iterator[Stored]:
    settings = json.loads(tiny_settings.read_text())
    topics = {name: f"t-{uuid.uuid4().hex[:8]}-{name}" for name in KafkaSettings().topics}
    kafka = {"bootstrap_servers": services.kafka_bootstrap, "partitions": 1, **topics}
    own = {"redis": {"url": services.redis_url}, "kafka": kafka}
    tiny_settings.write_text(json.dumps({**settings, **own}))
    loaded = settings_module.load(tiny_settings)
    weights, manifest = model_wiring.prompt_weights(loaded)
    vocabulary = Vocabulary((TEXT,))
    text = encode_vocabularies(model_wiring.model_spec(loaded), weights, [vocabulary], manifest.text_mode)[vocabulary]
    normal, wanted = text.numpy()
    client, prefix = connect(services.redis_url), f"t-{uuid.uuid4().hex[:8]}-"
    store = RedisResultStore(client, group_id=prefix, retention=Retention())
    made_with = MadeWith(manifest.model, manifest.version, manifest.trained)
    made = Stored(client, store, prefix, made_with, wanted, normal)
    yield made
    ScratchCameras(client, [made.camera(1), made.camera(2)]).forget([], [])
    client.close()


def find(*arguments: str) -> dict[str, Any]:
    result = run("find", *arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    printed: dict[str, Any] = json.loads(result.stdout)
    return printed


def test_a_frame_is_compared_with_those_before_it(stored: Stored) -> None:
    ids = [stored.put(n, *([SCRATCH] if n in (1, 3, 6, 8) else [])) for n in range(10)]
    result = run("explain", ids[6], "--last", "4")
    assert result.exit_code == 0, (result.output, result.exception)
    # Of frames 3 to 6; what came later does not count.
    assert "The 2nd of the last 4 frames with scratch there." in result.stdout
    assert "1 of the 3 before it were anomalous." in result.stdout
    assert "Limit: the weights are untrained" in result.stdout


def test_frames_nobody_knows_and_cameras_they_are_not_of(stored: Stored) -> None:
    known = stored.put(1, SCRATCH)
    assert "results expire" in one_line_problem(run("explain", f"{stored.prefix}gone"))
    assert stored.camera() in one_line_problem(run("explain", known, "--camera", "other"))
    assert run("explain", known, "--camera", stored.camera()).exit_code == 0


def test_a_camera_without_results_is_no_error_but_says_why(stored: Stored, tiny_settings: Path) -> None:
    camera = stored.camera()
    stored.put(1)
    none_anomalous = run("results", camera, "--defects-only")
    assert (none_anomalous.exit_code, none_anomalous.stdout) == (0, "")
    assert none_anomalous.stderr == f"no anomalous results of camera {camera} among those kept; good ones: 1\n"
    assert stored.prefix in one_line_problem(run("results", f"{stored.prefix}typo"))
    listed = json.loads(tiny_settings.read_text()) | {"cameras": {f"{stored.prefix}new": {}}}
    tiny_settings.write_text(json.dumps(listed))
    for options, what in (((), "results"), (("--defects-only",), "anomalous results")):
        new = run("results", f"{stored.prefix}new", *options)
        assert (new.exit_code, new.stdout) == (0, "")
        assert new.stderr == (
            f"no {what} of camera {stored.prefix}new yet; is `inspector inspect` running and the camera producing?\n"
        )
    assert json.loads(run("results", f"{stored.prefix}new", "--json").stdout) == []


def test_what_looks_like_the_text_comes_first(stored: Stored) -> None:
    stored.put(1, DENT, rows=[stored.normal])
    best = stored.put(2, DENT, SCRATCH, rows=[stored.normal + 0.9 * stored.wanted, stored.wanted])
    stored.put(3, SCRATCH, rows=[stored.wanted], camera=2)
    found = find(TEXT, "--camera", stored.camera(1))
    assert (found["results_compared"], found["regions_compared"], found["results_not_compared"]) == (2, 3, {})
    regions = found["regions"]
    assert [(r["rank"], r["frame_id"] == best, r["defect"]) for r in regions] == [
        (1, True, 1),
        (2, True, 0),
        (3, False, 0),
    ]
    similarities = [region["similarity"] for region in regions]
    gap = 1 - float(stored.wanted @ stored.normal)
    assert similarities[0] == pytest.approx(gap, abs=2e-3)
    assert similarities[2] == pytest.approx(-gap, abs=2e-3)
    assert (regions[0]["where"], regions[0]["size"]) == ("upper left, near the edge", "30 x 5 px")
    both = find(TEXT, "--camera", stored.camera(1), "--camera", stored.camera(2), "--top", "1")
    assert (both["results_compared"], len(both["regions"])) == (3, 1)
    # Of no camera in particular: those of other tests may be there too.
    assert best in {region["frame_id"] for region in find(TEXT, "--top", "1000")["regions"]}


def test_the_table_says_that_untrained_weights_mean_nothing(stored: Stored) -> None:
    stored.put(1, SCRATCH, rows=[stored.wanted])
    result = run("find", TEXT, "--camera", stored.camera())
    assert "1 of 1 regions" in result.stdout
    assert "upper left" in result.stdout
    assert "this ranking means nothing" in result.stderr


def test_what_does_not_compare_is_counted_and_named(stored: Stored) -> None:
    stored.put(1, SCRATCH, rows=[stored.wanted])
    stored.put(2, SCRATCH, rows=[stored.wanted], weights_version="other-weights")
    stored.put(3, SCRATCH)
    stored.put(4, SCRATCH, regions=b"\x08\0\0\0\0\0\0\0{}garbage")
    stored.put(5, SCRATCH, rows=[stored.wanted, stored.normal])
    elsewhere = RegionEmbeddings(np.eye(1, len(stored.wanted), dtype=np.float16), replace(stored.made_with, model="x"))
    stored.put(6, SCRATCH, regions=dump_regions(elsewhere))
    stored.put(7)
    found = find(TEXT, "--camera", stored.camera(), "--with-normal")
    assert found["results_compared"] == 1
    assert found["results_not_compared"] == {
        "made by weights other-weight": 1,
        "stored without what text is compared with": 1,
        "with damaged regions": 1,
        "whose regions are those of another verdict": 2,
    }
    assert (
        "1 results made by weights other-weight are not compared"
        in run("find", TEXT, "--camera", stored.camera()).stderr
    )


def test_results_are_compared_by_the_weights_that_made_them_once_those_are_published(
    stored: Stored, tiny_settings: Path
) -> None:
    loaded = settings_module.load(tiny_settings)
    newer, manifest = init_prompt_weights(model_wiring.model_spec(loaded), Vocabulary(("rust", "chip")), 1)
    data, manifest = weights_bytes(newer, manifest)
    vocabulary = Vocabulary((TEXT,))
    text = encode_vocabularies(model_wiring.model_spec(loaded), newer, [vocabulary], manifest.text_mode)[vocabulary]
    stored.put(1, SCRATCH, rows=[stored.normal])
    by_newer = RegionEmbeddings(text[1:].numpy().astype(np.float16), MadeWith(manifest.model, manifest.version, False))
    best = stored.put(2, SCRATCH, regions=dump_regions(by_newer), weights_version=manifest.version)
    before = find(TEXT, "--camera", stored.camera())
    assert before["results_not_compared"] == {f"made by weights {manifest.version[:12]}": 1}

    assert run("topics", "create").exit_code == 0
    version = wiring.artefacts(loaded).put(data)
    release = WeightsRelease(manifest.version, version, manifest.model, START)
    announce_release(wiring.kafka_connection(loaded), loaded.kafka.weights_topic, release)
    after = find(TEXT, "--camera", stored.camera())
    assert after["results_not_compared"] == {}
    assert after["weights_compared"] == sorted([stored.made_with.weights_version, manifest.version])
    assert after["regions"][0]["frame_id"] == best
    assert after["regions"][0]["similarity"] == pytest.approx(1 - float(text[0] @ text[1]), abs=2e-3)


def test_one_frame_of_other_numbers_does_not_end_the_search(stored: Stored) -> None:
    best = stored.put(1, SCRATCH, rows=[stored.wanted])
    stored.put(2, SCRATCH, rows=[stored.wanted[:-1]])
    found = find(TEXT, "--camera", stored.camera())
    assert [region["frame_id"] for region in found["regions"]] == [best]
    assert (found["results_compared"], found["regions_compared"]) == (1, 1)
    assert found["results_not_compared"] == {"with damaged regions": 1}


@pytest.mark.parametrize("text", ["\udcff", "Kratzer \N{SNOWMAN} \u5212\u75d5", "\x1b[2J"])
def test_any_text_is_a_question_or_a_problem_in_one_line(stored: Stored, text: str) -> None:
    stored.put(1, SCRATCH, rows=[stored.wanted])
    asked = run("find", text, "--camera", stored.camera())
    assert "\x1b" not in asked.output
    if asked.exit_code:
        assert "text" in one_line_problem(asked)
    assert one_line_problem(run("explain", f"{stored.prefix}\udcff"))


def test_regions_end_with_their_result(stored: Stored) -> None:
    frame_id = stored.put(1, SCRATCH, rows=[stored.wanted])
    assert stored.client.ttl(keys.regions(frame_id)) == pytest.approx(stored.client.ttl(keys.result(frame_id)), abs=2)
    assert stored.client.strlen(keys.regions(frame_id)) < 2000


def test_questions_that_are_none(stored: Stored) -> None:
    stored.put(1, SCRATCH, rows=[stored.wanted])
    assert "characters" in one_line_problem(run("find", " "))
    assert "nobody" in one_line_problem(run("find", TEXT, "--camera", "nobody"))
    long = run("find", "scratch " * 30 + "and " * 10, "--camera", stored.camera())
    assert long.exit_code == 0 or "tokens" in long.stderr
