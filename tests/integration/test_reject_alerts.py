"""A camera whose frames are rejected has one alert of its own, and one when it is over: on a real line, over a kill."""

from __future__ import annotations

from pathlib import Path

import pytest
from line import Line, running_line
from local_services import Services
from stub_line_worker import BROKEN, DEFECT
from test_crashing_decode import Keeper, record, run_until_drained

pytestmark = [pytest.mark.services, pytest.mark.timeout(240)]


def test_an_episode_starts_once_and_ends_once_over_a_kill_and_stops_nothing(
    services: Services, tmp_path: Path, topic_prefix: str
) -> None:
    # Every fourth frame is camera 0's.
    images = [BROKEN if n % 4 == 0 and 80 <= n < 800 else DEFECT if n % 10 == 1 else b"good" for n in range(1400)]
    broken = sum(image == BROKEN for image in images)
    with running_line(services, tmp_path, topic_prefix) as line:
        keeper = Keeper(line, "a", ("--score-ms", "10"))
        kill_at = [800]  # frames left: in the midst of the episode

        def kill_once() -> None:
            if kill_at and (line.lag() or 1400) < kill_at[0]:
                kill_at.pop()
                keeper.kill()

        line.publish(record(n, image) for n, image in enumerate(images))
        run_until_drained(line, [keeper], 200, kill_once)

        assert keeper.crashes() == [-9], "the kill came too late to be one in the middle"
        start, end = line.reject_alerts()
        assert (start.event, start.cause, start.camera_id) == ("start", "in_a_row", "cam0")
        assert (end.event, end.episode_id) == ("end", start.episode_id)
        assert end.source.offset > start.source.offset
        assert len(line.alerts()) == sum(image == DEFECT for image in images)
        assert len(line.dead_letters()) == broken
        check_shown(line)


def check_shown(line: Line) -> None:
    shown = line.run("alerts").stdout.splitlines()
    told = [text for text in shown if "rejected frames" in text or "frames taken again" in text]
    assert len(told) == 2
    assert "cam0" in told[0]
    assert "100 frames in a row were rejected, the last as undecodable" in told[0]
