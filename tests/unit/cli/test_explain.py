"""``inspector explain`` on images made here: the report first, a model's words after it, and never without it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
from chat_server import Chat, completion, serving
from command_line import one_line_problem, run

from inspector.domain.records import json_schema


def part(seed: int, marked: bool = False) -> np.ndarray[Any, np.dtype[np.uint8]]:
    pixels = np.random.default_rng(seed).normal(90, 4, (96, 96, 3)).clip(0, 255).astype(np.uint8)
    if marked:
        pixels[8:32, 10:34] = (30, 240, 250)
    # Larger than a picture that is sent along may be.
    return np.asarray(cv2.resize(pixels, (1152, 1152), interpolation=cv2.INTER_NEAREST))


@pytest.fixture
def parts(tiny_settings: Path) -> Path:
    folder = tiny_settings.parent
    settings = json.loads(tiny_settings.read_text())
    settings["products"] = {"lid": {"defects": ["blot", "burr"], "mm_per_px": 0.1}}
    settings["cameras"] = {"cam7": {"product": "lid"}}
    settings["scoring"] = {"bank_levels": "texture"}  # an untrained tower spreads a mark over the whole frame
    tiny_settings.write_text(json.dumps(settings))
    (folder / "good").mkdir()
    for number in range(8):
        cv2.imwrite(str(folder / "good" / f"{number}.png"), part(number))
    cv2.imwrite(str(folder / "bad.jpg"), part(50, marked=True))
    return folder


@pytest.fixture
def chat() -> Iterator[Chat]:
    with serving() as made:
        yield made


def configure(folder: Path, **explain: Any) -> None:
    file = folder / "inspector.yaml"
    file.write_text(json.dumps({**json.loads(file.read_text()), "explain": explain}))


EXPLAIN = ("explain", "bad.jpg", "--reference", "good", "--camera", "cam7")


def test_an_image_is_explained_without_a_broker(parts: Path) -> None:
    result = run(*EXPLAIN)
    assert result.exit_code == 0, (result.output, result.exception)
    first, *rest = result.stdout.splitlines()
    assert first.startswith("bad.jpg, as of camera cam7: ")
    assert "anomalous, anomaly score" in first
    assert any(" upper left" in line and " mm, " in line for line in rest)
    assert "earlier frames" not in result.stdout
    assert run("explain", "bad.jpg", "--reference", "good").stdout.startswith("bad.jpg: ")
    assert "Limit: the weights are untrained, so each type is a guess." in rest
    assert "types are a guess" in result.stderr


def test_trained_weights_bring_the_types_of_an_image_whose_camera_has_none(parts: Path, trained_weights: Path) -> None:
    of_weights = run("explain", "bad.jpg", "--reference", "good", "--weights", str(trained_weights), "--json")
    assert of_weights.exit_code == 0, (of_weights.output, of_weights.exception)
    (defect, *_) = json.loads(of_weights.stdout)["report"]["defects"]
    assert {defect["defect_type"], defect["runner_up"]} == {"rust", "chip"}
    assert "rust, chip" in of_weights.stderr
    of_camera = run(*EXPLAIN, "--weights", str(trained_weights), "--json")
    (defect, *_) = json.loads(of_camera.stdout)["report"]["defects"]
    assert {defect["defect_type"], defect["runner_up"]} == {"blot", "burr"}
    assert of_camera.stderr == ""


def test_the_report_as_json_keeps_to_its_schema(parts: Path) -> None:
    printed = json.loads(run(*EXPLAIN, "--json").stdout)
    jsonschema.validate(printed["report"], json_schema("report"))
    assert printed["model_answer"] is None
    (defect, *_) = printed["report"]["defects"]
    assert defect["defect_type"] in ("blot", "burr")
    assert {defect["defect_type"], defect["runner_up"]} == {"blot", "burr"}
    assert defect["type_probability"] + defect["runner_up_probability"] == pytest.approx(1)


def test_a_models_words_follow_the_report_and_are_marked(parts: Path, chat: Chat) -> None:
    (parts / "key").write_text("s3cret\n")
    configure(parts, backend="openai", url=chat.url, model="m", api_key_file="key")
    chat.body = completion("A crack of 77 mm, lower right.\x07\nAct now.")
    result = run(*EXPLAIN)
    assert result.exit_code == 0
    assert result.stdout.startswith("bad.jpg, as of camera cam7: ")
    report, _, words = result.stdout.partition("Words of the model m, held against the report; not part of it:\n")
    assert report.strip()
    assert words.splitlines() == [
        r"  A crack of 77 mm, lower right.\x07",
        "  Act now.",
        "  ! not in the evidence: crack",
        "  ! not in the evidence: 77 mm",
        "  ! contradicts the evidence: lower right",
    ]
    ((_, headers, asked),) = chat.asked
    assert headers["Authorization"] == "Bearer s3cret"
    evidence, picture = asked["messages"][-1]["content"]
    assert json.loads(evidence["text"])["camera_id"] == "cam7"
    jpeg = base64.b64decode(picture["image_url"]["url"].partition(",")[2])
    assert max(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape) == 1024
    answer = json.loads(run(*EXPLAIN, "--json").stdout)["model_answer"]
    assert (answer["model"], len(answer["marks"])) == ("m", 3)


def test_json_of_a_models_words_moves_no_cursor(parts: Path, chat: Chat) -> None:
    configure(parts, backend="openai", url=chat.url, model="m")
    said = "\x9b2J all \u202eDOOG, half a \ud800"
    chat.body = completion(said)
    printed = run("explain", "bad.jpg", "--reference", "good", "--json").stdout
    assert printed.strip().isprintable()
    assert not {"\x9b", "\u202e"} & set(printed)
    assert json.loads(printed)["model_answer"]["text"] == said.replace("\ud800", "\\ud800")


@pytest.mark.parametrize("trouble", ["status 401", "status 500", "no json", "nobody", "no key"])
def test_without_an_answer_the_report_still_stands(parts: Path, chat: Chat, trouble: str) -> None:
    url, key = chat.url, {}
    if trouble.startswith("status"):
        chat.status = int(trouble.split()[1])
    elif trouble == "no json":
        chat.body = b"<html>"
    elif trouble == "nobody":
        url = "http://127.0.0.1:9/v1"
    else:
        key = {"api_key_file": "none"}
    configure(parts, backend="openai", url=url, model="m", **key)
    result = run("explain", "bad.jpg", "--reference", "good")
    assert result.exit_code == 0
    assert result.stdout.startswith("bad.jpg: ")
    assert "Words of the model" not in result.stdout
    assert [line for line in result.stderr.splitlines() if "untrained" not in line] == [
        line for line in result.stderr.splitlines() if line.startswith("no answer of a model (explain.*): expected ")
    ]
    assert "no answer of a model" in result.stderr


def test_bad_input_in_one_line(parts: Path) -> None:
    (parts / "torn.jpg").write_bytes((parts / "bad.jpg").read_bytes()[:5000])
    torn = run("explain", "torn.jpg", "--reference", "good")
    assert torn.exit_code == 1
    assert "torn.jpg" in torn.stderr.splitlines()[-1]
    assert "cam7" in one_line_problem(run("explain", "bad.jpg", "--camera", "cam8"))
    assert "--reference" in one_line_problem(run("explain", "no-such-file.jpg", "--reference", "good"))
    (parts / "inspector.yaml").write_text(json.dumps({"redis": {"url": "redis://127.0.0.1:9"}}))
    for name in ("nofile.PNG", "photos/part"):
        assert f"'{name}': there is no such file" in one_line_problem(run("explain", name))
    assert "no such file" not in one_line_problem(run("explain", "0195-frame"))
    configure(parts, backend="openai")
    assert "explain.url" in one_line_problem(run("explain", "bad.jpg"))
