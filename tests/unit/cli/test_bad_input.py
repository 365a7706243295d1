"""Each bad input that issue 4 names for commands: one line, exit code 1, no traceback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import one_line_problem, run, run_alone

WEIGHTS = "w.safetensors"


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nothing listens, kept from others while the test runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["score", "missing.jpg"], "missing.jpg"),
        (["score", "."], "none in ."),
        (["produce", "missing", "--camera", "c"], "'missing'"),
        (["produce", "sim:spaceship", "--camera", "c"], "plate, belt, board"),
        (["produce", "sim:plate", "--camera", "c\x1b[2J"], "'c\\x1b[2J'"),
        (["weights", "show", "missing.safetensors"], "missing.safetensors"),
        (["schema", "frame"], "result, alert"),
        (["cameras", "-c", "missing.yaml"], "missing.yaml"),
        (["alerts", "--since", "yesterday"], "10m"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there(here: Path, arguments: list[str], named: str) -> None:
    assert named in one_line_problem(run(*arguments))


@pytest.mark.parametrize("arguments", [["alerts"], ["topics", "check"], ["config", "list"]], ids=" ".join)
def test_no_kafka(here: Path, nobody: str, arguments: list[str]) -> None:
    problem = one_line_problem(run_alone(*arguments, env={"INSPECTOR_KAFKA__BOOTSTRAP_SERVERS": nobody}))
    assert f"expected Kafka at {nobody}" in problem


@pytest.mark.parametrize("arguments", [["results", "cam1"], ["cameras"], ["enroll", "cam1", "."]], ids=" ".join)
def test_no_redis(here: Path, nobody: str, arguments: list[str]) -> None:
    problem = one_line_problem(run(*arguments, env={"INSPECTOR_REDIS__URL": f"redis://user:hush@{nobody}/0"}))
    assert f"Redis server at {nobody}" in problem
    assert "hush" not in problem


@pytest.mark.parametrize("text", ["kafak: {}", "kafka: {topic: x}", "kafka: [", "- 1", "model: {image_size_px: x}"])
def test_unknown_or_wrong_setting(here: Path, text: str) -> None:
    (here / "inspector.yaml").write_text(text)
    assert "setting" in one_line_problem(run("cameras"))


def test_unknown_variable(here: Path) -> None:
    assert "INSPECTOR_KAFAK" in one_line_problem(run("cameras", env={"INSPECTOR_KAFAK": "x"}))


def broken_weights(good: bytes) -> dict[str, bytes]:
    middle = len(good) // 2
    return {
        "empty": b"",
        "text": b"weights",
        "truncated": good[:-100],
        "flipped bit": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    }


@pytest.mark.parametrize("kind", broken_weights(b"x" * 300))
def test_broken_weights(tiny_settings: Path, kind: str) -> None:
    assert run("weights", "init", WEIGHTS).exit_code == 0
    assert run("weights", "verify", WEIGHTS).exit_code == 0
    file = Path(WEIGHTS)
    file.write_bytes(broken_weights(file.read_bytes())[kind])
    (Path.cwd() / "part.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for arguments in (["weights", "verify", WEIGHTS], ["weights", "show", WEIGHTS], ["score", "part.png"]):
        problem = one_line_problem(run(*arguments, env={"INSPECTOR_MODEL__WEIGHTS": WEIGHTS}))
        assert WEIGHTS in problem


def test_weights_of_another_model_are_refused(tiny_settings: Path) -> None:
    assert run("weights", "init", WEIGHTS).exit_code == 0
    problem = one_line_problem(run("weights", "verify", WEIGHTS, env={"INSPECTOR_MODEL__IMAGE_SIZE_PX": "128"}))
    assert "at 64 px" in problem


def test_weights_are_not_overwritten_unasked(tiny_settings: Path) -> None:
    Path(WEIGHTS).write_text("precious")
    assert WEIGHTS in one_line_problem(run("weights", "init", WEIGHTS))
    assert Path(WEIGHTS).read_text() == "precious"


def test_an_output_folder_that_is_a_file(tiny_settings: Path) -> None:
    Path("out").write_text("a file")
    Path("part.jpg").write_bytes(b"\xff\xd8\xff")
    assert "out" in one_line_problem(run("score", "part.jpg", "--out", "out"))


def test_doctor_says_what_fails_and_ends_with_1(tiny_settings: Path, nobody: str) -> None:
    env = {"INSPECTOR_KAFKA__BOOTSTRAP_SERVERS": nobody, "INSPECTOR_REDIS__URL": f"redis://{nobody}/0"}
    result = run_alone("doctor", env=env)
    assert result.exit_code == 1
    words = result.stdout.split()
    assert words.count("fail") == 3  # kafka, topics, redis
    assert "untrained" in words or "untrained:" in words
    assert result.stderr == ""


def test_doctor_masks_secrets(here: Path) -> None:
    env = {"INSPECTOR_REDIS__URL": "redis://u:hush@h/0", "INSPECTOR_KAFKA__SECURITY__PASSWORD": "hush"}
    result = run("doctor", "--settings", env=env)
    assert result.exit_code == 0
    assert "hush" not in result.output
    assert "bootstrap_servers" in result.stdout


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99"])
def test_a_device_that_torch_cannot_use(tiny_settings: Path, device: str) -> None:
    env = {"INSPECTOR_MODEL__DEVICE": device}
    assert device in one_line_problem(run("weights", "init", "new.safetensors", env=env))
    env |= {"INSPECTOR_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1", "INSPECTOR_REDIS__URL": "redis://127.0.0.1:1/0"}
    result = run_alone("doctor", "--json", env=env)
    failed = {entry["check"]: entry["found"] for entry in json.loads(result.stdout)["findings"]}
    assert device in failed["device"]
    assert failed["model"] == failed["weights"] == "not checked without device"


def test_a_text_mode_that_contradicts_the_weights(tiny_settings: Path) -> None:
    assert run("weights", "init", WEIGHTS, env={"INSPECTOR_MODEL__TEXT_MODE": "bidirectional"}).exit_code == 0
    assert run("weights", "verify", WEIGHTS).exit_code == 0
    problem = one_line_problem(run("weights", "verify", WEIGHTS, env={"INSPECTOR_MODEL__TEXT_MODE": "causal"}))
    assert "made with bidirectional" in problem


def test_a_full_disk_is_one_line(here: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "inspector", "schema", "result"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: expected output that can be written, got No space left on device: check the room on the disk"
    ]


def test_a_hostile_file_cannot_fill_the_terminal(here: Path) -> None:
    header = json.dumps({"__metadata__": {"x" * 200_000: ""}}).encode()
    Path(WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header)
    problem = one_line_problem(run("weights", "show", WEIGHTS))
    assert WEIGHTS in problem
    assert len(problem) < 600
