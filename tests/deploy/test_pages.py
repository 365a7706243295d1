"""Runbooks and day-two pages: what people do by them in the night keeps frames, and asks for what is exported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from local_services import ROOT

from inspector.domain.metrics import METRICS

DAY_TWO = ROOT / "deploy" / "day-two"
PAGES = sorted([*(ROOT / "deploy" / "observability" / "runbooks").glob("*.md"), *DAY_TWO.glob("*.md")])
# What takes cameras' pods away, and the frames that they spooled with them.
ENDS_CAMERAS = re.compile(
    r"kubectl (?:-n inspection )?(?:delete pod POD|apply -k|(?:scale|delete|rollout restart) deployment[^`]*camera)"
)


def workloads() -> set[tuple[str, str]]:
    """Every workload of the base that runs our image, as (kind, name)."""
    objects = [
        each for path in (ROOT / "k8s" / "base").glob("*.yaml") for each in yaml.safe_load_all(path.read_text()) if each
    ]
    kinds = ("StatefulSet", "Deployment", "CronJob")
    return {(each["kind"].lower(), each["metadata"]["name"]) for each in objects if each.get("kind") in kinds}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_metrics_that_are_exported(page: Path) -> None:
    named = set(re.findall(r"\binspector_[a-z_]+[a-z]\b", page.read_text()))
    assert named <= {metric.name for metric in METRICS}


def test_no_page_ends_a_cameras_pod_before_its_spool_is_empty() -> None:
    """In Kubernetes a spool goes with its pod, and holds the only copy of its frames."""
    seen = []
    for page in PAGES:
        text = page.read_text()
        for command in ENDS_CAMERAS.finditer(text):
            seen.append(page.stem)
            for metric in ("inspector_spool_frames", "inspector_window_frames"):
                assert metric in text[: command.start()], f"{page.name}: {command[0]} before it is asked for {metric}"
    assert {"CameraSilent", "topic-growth", "upgrade"} <= set(seen)


@pytest.mark.parametrize("name", ["topic-growth", "upgrade"])
def test_lag_is_read_where_frames_in_hand_count(name: str) -> None:
    """What an inspector has taken and not committed is taken again by the next one if it dies."""
    text = (DAY_TWO / f"{name}.md").read_text()
    assert "`sum(inspector_group_lag_frames)" in text
    warned_of = text.count("`inspector_consumer_lag_frames` will not do")
    assert text.count("inspector_consumer_lag_frames") == warned_of


def test_a_roll_back_names_every_workload() -> None:
    text = (DAY_TWO / "upgrade.md").read_text()
    undone = text[text.index("**Roll back**") :]
    for kind, name in workloads():
        assert f"{kind}/{name}" in undone, f"{kind}/{name} would stay new"
    assert "apply -k" in undone
    assert "camera" in undone
