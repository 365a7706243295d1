"""A line that prefers fresh frames, on real Kafka and Redis: what it leaves out is counted and can be proved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from line import running_line
from local_services import Services
from stub_line_worker import BROKEN, DEFECT
from test_crashing_decode import Keeper, record, run_until_drained

pytestmark = [pytest.mark.services, pytest.mark.timeout(240)]


@pytest.mark.parametrize("policy", ["oldest", "newest"])
def test_every_frame_is_inspected_or_a_dead_letter_that_says_dropped(
    services: Services, tmp_path: Path, topic_prefix: str, policy: str
) -> None:
    images = [BROKEN if n % 50 == 7 else DEFECT if n % 10 == 1 else b"good" for n in range(800)]
    batch = {"drop_policy": policy, "drop_when_lag_frames": 20}
    with running_line(services, tmp_path, topic_prefix, batch=batch) as line:
        line.publish(record(n, image) for n, image in enumerate(images))
        keeper = Keeper(line, "a")
        run_until_drained(line, [keeper], 200)

        letters = [dict(letter.headers) for letter in line.dead_letters()]
        dropped = {h["frame_id"].decode() for h in letters if h["reason"] == b"dropped"}
        broken = {f"f{n:05}" for n, image in enumerate(images) if image == BROKEN}
        inspected = set(line.results())
        assert len(letters) == len(dropped) + len(broken - dropped)
        assert not inspected & (dropped | broken)
        assert len(inspected | dropped | broken) == len(images)
        # Every fourth frame is a camera's, and each camera is on one partition.
        last = {f"f{n:05}" for n in range(780, 800)} - broken
        first = {f"f{n:05}" for n in range(20)} - broken
        assert (last <= inspected) if policy == "oldest" else (first <= inspected)
        assert len(dropped) >= len(images) - len(broken) - 4 * 20 - 60
        assert {alert.frame_id for alert in line.alerts()} == {
            f"f{n:05}" for n, image in enumerate(images) if image == DEFECT and f"f{n:05}" in inspected
        }
        logged = [json.loads(text) for text in (tmp_path / "a.log").read_text().splitlines() if '"progress"' in text]
        told = {name: sum(each.get(name, 0) for each in logged) for name in ("inspected", "dropped", "rejected")}
        true = {"inspected": len(inspected), "dropped": len(dropped), "rejected": len(broken - dropped)}
        # A life that ended early took with it what it had not told yet.
        assert all(told[name] <= true[name] for name in true) if keeper.deaths else told == true
