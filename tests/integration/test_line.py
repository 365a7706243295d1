"""The whole line on real Kafka and Redis: every frame taken ends as exactly one outcome."""

from __future__ import annotations

import hashlib
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import frames
import pytest
from line import Line, running_line, wait_for
from local_services import Services

from inspector.domain.result import PredLabel, ScoreMode

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]


@pytest.fixture
def line(services: Services, tmp_path: Path, topic_prefix: str, tiny_model: str) -> Iterator[Line]:
    with running_line(
        services,
        tmp_path,
        topic_prefix,
        model={"name": tiny_model, "pretrained": "random"},
        limits={"max_frame_bytes": 2 * 2**20},
    ) as running:
        yield running


def enrol(line: Line, camera_id: str) -> None:
    """Give a camera normal frames, so that its verdicts mean something."""
    folder = line.dir / f"normal-{camera_id}"
    folder.mkdir()
    for seed in range(12):
        (folder / f"{seed}.jpg").write_bytes(frames.jpeg(frames.part(1000 + seed)))
    line.run("enroll", camera_id, str(folder))


def test_bad_frames_are_dead_letters_once_with_their_reason_and_the_rest_is_served(line: Line) -> None:
    good = [{"key": b"cam-good", "value": frames.jpeg(frames.part(seed))} for seed in range(20)]
    unusual = [{"key": b"cam-odd", "value": value} for value in frames.accepted(1).values()]
    bad = frames.rejected(2)
    twice = {"key": b"cam-twice", "value": frames.jpeg(frames.part(3)), "headers": [("frame_id", b"same-id")]}
    records = [*good[:10], *(record for record, _ in bad.values()), *unusual, twice, twice, *good[10:]]
    line.publish(records)
    line.start_inspector("a")
    line.wait_drained()

    letters = line.dead_letters()
    reasons = Counter(dict(letter.headers)["reason"].decode() for letter in letters)
    assert reasons == Counter([reason for _, reason in bad.values()] + ["duplicate"])
    results = line.results()
    assert Counter(result.camera_id for result in results.values()) == {"cam-good": 20, "cam-odd": 6, "cam-twice": 1}
    assert len(results) + len(letters) == len(records)

    by_reason = {dict(letter.headers)["reason"]: letter for letter in letters}
    undecodable = by_reason[b"undecodable"]
    assert undecodable.value == bad["not an image"][0]["value"]
    assert dict(by_reason[b"too_large"].headers)["payload"] == b"reference"
    expected = hashlib.sha256(bad["over the size limit"][0]["value"]).hexdigest()  # type: ignore[arg-type]
    assert dict(by_reason[b"too_large"].headers)["sha256"].decode() == expected


def test_alerts_are_exactly_the_frames_judged_anomalous_and_carry_what_finds_the_part(line: Line) -> None:
    enrol(line, "cam1")
    marked = {seed for seed in range(60) if seed % 6 == 0}
    line.publish(
        {
            "key": b"cam1",
            "value": frames.jpeg(frames.part(seed, marked=seed in marked)),
            "headers": [("frame_id", f"f{seed:03}".encode()), ("part_id", f"p{seed}".encode()), ("lot", b"L7")],
        }
        for seed in range(60)
    )
    line.start_inspector("a")
    line.start_inspector("b")
    line.wait_drained()

    results = line.results()
    assert len(results) == 60
    anomalous = {frame_id for frame_id, result in results.items() if result.pred_label is PredLabel.ANOMALOUS}
    alerts = line.alerts()
    assert sorted(alert.frame_id for alert in alerts) == sorted(anomalous)
    assert [alert.frame_id for alert in alerts] == sorted(alert.frame_id for alert in alerts)  # a camera stays in order
    assert {f"f{seed:03}" for seed in marked} <= anomalous
    assert all(results[alert.frame_id].mode is ScoreMode.BANK for alert in alerts)
    assert all(alert.part_id == f"p{int(alert.frame_id[1:])}" and alert.lot == "L7" for alert in alerts)
    found = results["f000"].defects[0].box
    assert found.w < 160
    assert found.h < 160


def test_killing_one_of_two_inspectors_loses_nothing_and_repeats_no_alert(line: Line) -> None:
    cameras = [f"cam{number}" for number in range(6)]
    for camera_id in cameras[:2]:
        enrol(line, camera_id)
    images = [frames.jpeg(frames.part(seed, marked=seed % 5 == 0)) for seed in range(50)]
    count = 2000
    victim = line.start_inspector("victim")
    line.start_inspector("survivor")
    line.publish(
        {
            "key": cameras[number % 6].encode(),
            "value": images[number % 50],
            "headers": [("frame_id", f"f{number:05}".encode())],
        }
        for number in range(count)
    )
    line.wait_lag(round(count * 0.7))
    line.kill(victim)
    assert line.lag(), "the kill came too late to be one in the middle"
    line.wait_drained()

    results = line.results()
    assert len(results) == count
    assert line.dead_letters() == []
    alerts = Counter(alert.frame_id for alert in line.alerts())
    anomalous = {frame_id for frame_id, result in results.items() if result.pred_label is PredLabel.ANOMALOUS}
    assert set(alerts) == anomalous
    assert len(anomalous) > 50
    assert alerts.most_common(1)[0][1] == 1


def test_sigterm_commits_the_batch_in_hand_and_the_next_inspector_goes_on(line: Line) -> None:
    line.publish({"key": b"cam1", "value": frames.jpeg(frames.part(seed))} for seed in range(400))
    first = line.start_inspector("a")
    line.wait_lag(380)
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    # What is stored is committed, nothing was cut short; an offset shows a moment after its transaction was confirmed.
    stored = len(line.results())
    assert 0 < stored < 400
    line.wait_lag(400 - stored, 10)
    line.start_inspector("a")
    line.wait_drained()
    assert len(line.results()) == 400


def test_a_running_inspector_takes_a_bank_between_two_batches_without_a_restart(line: Line) -> None:
    def publish(first: int) -> None:
        line.publish(
            {"key": b"cam1", "value": frames.jpeg(frames.part(s)), "headers": [("frame_id", f"f{s}".encode())]}
            for s in range(first, first + 10)
        )

    process = line.start_inspector("a")
    publish(0)
    line.wait_drained()
    enrol(line, "cam1")
    wait_for(lambda: "took configuration" in line.logs() and "bank/cam1" in line.logs(), 30, line.logs)
    publish(10)
    line.wait_drained()
    results = line.results()
    assert {results[f"f{s}"].mode for s in range(10)} == {ScoreMode.ZERO_SHOT}
    assert {results[f"f{s}"].mode for s in range(10, 20)} == {ScoreMode.BANK}
    assert all(results[f"f{s}"].calibration_version for s in range(10, 20))
    assert process.poll() is None


def kcat(line: Line, picture: bytes, *options: str | bytes) -> None:
    path = line.dir / "part.jpg"
    path.write_bytes(picture)
    command = ["kcat", "-P", "-b", line.services.kafka_bootstrap, "-t", line.frames_topic, "-k", "cam-kcat"]
    subprocess.run([*command, "-X", "partitioner=murmur2_random", *options, str(path)], check=True, timeout=60)


def test_kcat_is_producer_enough_and_a_header_that_is_no_text_stops_nothing(line: Line) -> None:
    kcat(line, frames.jpeg(frames.part(5)))
    kcat(line, frames.jpeg(frames.part(6)), "-H", b"\xff\xfename=1")
    kcat(line, frames.jpeg(frames.part(7)), "-H", b"lot=\xff\xfe")
    kcat(line, frames.jpeg(frames.part(8)))
    line.start_inspector("a")
    line.wait_drained()
    results = line.results().values()
    assert [(result.camera_id, result.width_px) for result in results] == [("cam-kcat", 320)] * 3
    (letter,) = line.dead_letters()
    assert dict(letter.headers)["reason"] == b"malformed_header"
