"""``inspector samples`` on a folder, and the settings of where samples are kept: what a person sees of either."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from command_line import one_line_problem, run
from sample_kit import LIMITS, sample

from inspector import settings as settings_module
from inspector.adapters.samples.objects import in_folder
from inspector.adapters.samples.store import ObjectSampleStore
from inspector.apps import wiring
from inspector.domain.errors import BadInputError
from inspector.domain.sample import SampleKind

SECRET = "do-not-show-this"


@pytest.fixture
def kept(here: Path) -> ObjectSampleStore:
    """Three samples where the settings say by default, one of them spoken of."""
    store = ObjectSampleStore(in_folder(here / ".cache" / "samples"), LIMITS, 10_000)
    for number, kind in enumerate(SampleKind):
        image = b"image %d" % number
        assert store.put(sample(f"f{number}", image, camera_id=f"cam{number % 2}", kind=kind), image)
    return store


def test_list_shows_what_is_kept_of_all_cameras_or_one(kept: ObjectSampleStore) -> None:
    listed = json.loads(run("samples", "list", "--json").stdout)
    assert [one["frame_id"] for one in listed] == ["f0", "f2", "f1"]
    assert {one["schema"] for one in listed} == {"inspection.sample/1"}
    shown = run("samples", "list", "--camera", "cam1")
    assert "f1" in shown.stdout
    assert "f0" not in shown.stdout
    assert "1 samples (0 feedback, 1 normal, 0 uncertain)" in shown.stderr


def test_verify_fails_while_a_sample_is_damaged_and_prune_removes_it(kept: ObjectSampleStore, here: Path) -> None:
    assert run("samples", "verify").exit_code == 0
    digest = hashlib.sha256(b"image 1").hexdigest()
    [image] = (here / ".cache" / "samples").glob(f"*/*/{digest}")
    image.write_bytes(b"imagf 1")
    told = run("samples", "verify")
    assert told.exit_code == 1
    assert "2 samples are whole, 1 are damaged" in told.stdout
    facts = json.loads(run("samples", "verify", "--json").stdout)
    assert [(found["camera_id"], found["frame_id"]) for found in facts["damaged"]] == [("cam1", "f1")]
    assert "1 damaged" in run("samples", "prune").stdout
    assert run("samples", "verify").exit_code == 0
    assert not image.exists()


def test_prune_holds_lowered_limits_and_never_removes_what_people_spoke_of(kept: ObjectSampleStore) -> None:
    lowered = {"INSPECTOR_SAMPLES__NORMALS_PER_CAMERA": "0", "INSPECTOR_SAMPLES__UNCERTAIN_PER_CAMERA": "0"}
    facts = json.loads(run("samples", "prune", "--json", env=lowered).stdout)
    assert facts["beyond_limits"] == 2
    assert [one.kind for one in kept.samples()] == [SampleKind.FEEDBACK]


@pytest.mark.parametrize("verb", ["list", "verify", "prune"])
def test_a_place_that_cannot_be_used_is_one_line(here: Path, verb: str) -> None:
    (here / "file").write_text("no folder")
    ended = run("samples", verb, env={"INSPECTOR_SAMPLES__PLACE": "file"})
    assert ended.exit_code == 1
    assert "samples" in one_line_problem(ended)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"place": ""}, "folder or s3://"),
        ({"place": "ftp://plant/samples"}, "folder or s3://"),
        ({"place": "samples", "endpoint": "https://s3.plant"}, "no use for endpoint"),
        ({"place": "samples", "secret_access_key_file": "key"}, "no use for secret_access_key_file"),
        ({"place": "s3://b", "endpoint": "s3.plant:9000"}, "https://"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"phash_distance": 65}, "phash_distance"),
        ({"normals": 3}, "unknown setting"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(here: Path, content: dict[str, object], words: str) -> None:
    (here / "inspector.yaml").write_text(json.dumps({"samples": content}))
    ended = run("samples", "list")
    assert ended.exit_code == 1
    assert words in one_line_problem(ended)


def test_the_secret_comes_from_a_file_or_the_environment_and_is_shown_nowhere(here: Path) -> None:
    (here / "key").write_text(f"{SECRET}\n")
    (here / "inspector.yaml").write_text(
        json.dumps({"samples": {"place": "s3://b/p", "endpoint": "http://127.0.0.1:9", "timeout_s": 1,
                                "access_key_id": "me", "secret_access_key_file": "key"}})
    )  # fmt: skip
    for env in ({}, {"INSPECTOR_SAMPLES__SECRET_ACCESS_KEY": SECRET}):
        for command in (("samples", "list"), ("doctor", "--settings"), ("doctor", "--settings", "--json")):
            ended = run(*command, env=env)
            assert SECRET not in ended.stdout + ended.stderr
    assert SECRET not in repr(wiring.sample_store(settings_module.load()).__dict__)


def test_a_key_without_its_secret_is_refused_before_anything_is_sent(here: Path) -> None:
    (here / "inspector.yaml").write_text(json.dumps({"samples": {"place": "s3://b", "access_key_id": "me"}}))
    with pytest.raises(BadInputError, match="one of the two"):
        wiring.sample_store(settings_module.load())
