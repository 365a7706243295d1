"""A week on the virtual line, in minutes: a defect type appears that the weights miss, people say so, new weights come.

    python tests/integration/trainer_week.py --out DIR [--bootstrap HOST:PORT --redis URL]

Real Kafka, Redis, inspector and commands; the bundled model. Writes ``week.json`` and ``week.svg`` (recall of the new
type and false alarms, day by day, with what happened) into DIR.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "integration")]

from line import Line, running_line  # noqa: E402  # found by the path above
from local_services import Services, running  # noqa: E402  # likewise

from inspector.adapters.kafka.feedback_log import publish_feedback  # noqa: E402
from inspector.domain.defect import Box  # noqa: E402
from inspector.domain.feedback import Feedback, FeedbackVerdict  # noqa: E402
from inspector.domain.result import InspectionResult, PredLabel  # noqa: E402
from inspector.rendering.defects import DefectShape, paint_defect  # noqa: E402
from inspector.simulator.line import line as virtual_line  # noqa: E402
from inspector.vision.opencv import cv2  # noqa: E402

NEW_TYPE = "burnt"
CAMERAS = ("cam1", "cam2")
CORRECTIONS = 20
KNOWN = ["scratch", "crack", "dent", "stain", "contamination"]


@dataclass(frozen=True)
class Frame:
    """A picture and its truth."""

    frame_id: str
    camera_id: str
    jpeg: bytes
    box: Box | None


@dataclass
class Day:
    """What was seen of one day's frames by the weights that served it."""

    name: str
    event: str
    defective: int = 0
    found: int = 0
    good: int = 0
    false_alarms: int = 0
    versions: dict[str, int] = field(default_factory=dict)


class Plant:
    """Makes frames of both cameras; which parts are defective is the caller's to say."""

    def __init__(self) -> None:
        self._lines = {
            camera: virtual_line("plate", seed=number, defect_rate=0.0) for number, camera in enumerate(CAMERAS)
        }
        self._next = dict.fromkeys(CAMERAS, 0)

    def frames(self, good: int, defective: int) -> list[Frame]:
        """Return so many of each, over both cameras in turn, mixed."""
        order = np.random.default_rng([7, sum(self._next.values())]).permutation(good + defective)
        return [self._frame(CAMERAS[place % 2], int(which) < defective) for place, which in enumerate(order)]

    def _frame(self, camera: str, defective: bool) -> Frame:
        index = self._next[camera]
        self._next[camera] += 1
        jpeg = self._lines[camera].frame(index).jpeg
        box = None
        if defective:
            jpeg, box = _painted(jpeg, index)
        return Frame(f"{camera}-{index:06d}", camera, jpeg, box)


def _painted(jpeg: bytes, index: int) -> tuple[bytes, Box]:
    image = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    rng = np.random.default_rng([11, index])
    place = (int(rng.integers(250, 1030)), int(rng.integers(250, 770)))
    shape = DefectShape(int(rng.uniform(70, 200)), float(rng.uniform(0.3, 0.9)))
    mask = paint_defect(rng, image, NEW_TYPE, place, shape, np.full(image.shape[:2], 255, np.uint8))
    encoded = bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])
    return encoded, Box(*(int(value) for value in cv2.boundingRect(mask)))


class Week:
    """The days, one after another, on a running line."""

    def __init__(self, line: Line, good: int, defective: int) -> None:
        self._line = line
        self._plant = Plant()
        self._size = (good, defective)
        self.days: list[Day] = []
        self.missed: list[tuple[Frame, InspectionResult]] = []

    def setting_up(self, folder: Path, count: int) -> None:
        """Normal frames of each camera give its thresholds; they are not published."""
        for frame in self._plant.frames(count * len(CAMERAS), 0):
            place = folder / frame.camera_id
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{frame.frame_id}.jpg").write_bytes(frame.jpeg)
        for camera in CAMERAS:
            self._line.run("calibrate", camera, str(folder / camera), "--shots", str(count))

    def day(self, name: str, event: str, *, new_type: bool = True, good: int | None = None) -> Day:
        """Publish a day's frames, wait for their results and count."""
        frames = self._plant.frames(self._size[0] if good is None else good, self._size[1] if new_type else 0)
        records: list[dict[str, Any]] = [
            {
                "key": frame.camera_id.encode(),
                "value": frame.jpeg,
                "headers": [("frame_id", frame.frame_id.encode()), ("product", b"plate")],
            }
            for frame in frames
        ]
        self._line.publish(records)
        self._line.wait_drained(1800)
        results, day = self._line.results(), Day(name, event)
        for frame in frames:
            self._count(day, frame, results[frame.frame_id])
        self.days.append(day)
        print(json.dumps(asdict(day)), flush=True)
        return day

    def corrected(self, most: int) -> int:
        """Let two people say what the line missed, as operators do at the end of a shift."""
        for frame, result in self.missed[:most]:
            for person in ("anna", "ben"):
                said = Feedback(
                    frame.frame_id, frame.camera_id, result.weights_version, FeedbackVerdict.WRONG, person,
                    result.inspected_at, PredLabel.NORMAL, NEW_TYPE, (frame.box,) if frame.box else (), product="plate",
                )  # fmt: skip
                publish_feedback(self._line.connection, f"{self._line.prefix}feedback", said)
        return len(self.missed[:most])

    def trainer(self, *more: str) -> dict[str, Any]:
        """One turn of the trainer, as a CronJob."""
        began = time.monotonic()
        done = self._line.run("trainer", "--once", "--json", *more, check=False, INSPECTOR_LOG_LEVEL="WARNING")
        print(f"trainer, {time.monotonic() - began:.0f} s: {done.stdout.strip()} {done.stderr.strip()}", flush=True)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    def stage(self) -> str:
        """Return where the rollout stands."""
        rollout = json.loads(self._line.run("weights", "list", "--json").stdout)["rollout"]
        return "settings" if rollout is None else str(rollout["stage"])

    def _count(self, day: Day, frame: Frame, result: InspectionResult) -> None:
        alarm = result.pred_label is PredLabel.ANOMALOUS
        day.versions[result.weights_version[:12]] = day.versions.get(result.weights_version[:12], 0) + 1
        if frame.box is None:
            day.good += 1
            day.false_alarms += alarm
        else:
            day.defective += 1
            day.found += alarm
            if not alarm:
                self.missed.append((frame, result))


def settings_of(folder: Path) -> dict[str, Any]:
    """The settings of the week's line: small rollouts, and the trainer's defaults but for what makes it minutes."""
    return {
        "products": {"plate": {"object": "metal plate", "defects": [*KNOWN, NEW_TYPE]}},
        "cameras": {camera: {"product": "plate", "mode": "zero_shot"} for camera in CAMERAS},
        "samples": {"place": str(folder / "samples"), "normals_per_camera": 300},
        "rollout": {"shadow_frames": 40, "canary_frames": 40, "canary_share": 0.5, "shadow_share": 0.5},
        "trainer": {
            "work": str(folder / "work"), "after_corrections": CORRECTIONS, "normals_per_camera": 300, "epochs": 3,
            "core_scenes": 64, "core_judged": 96, "lr": 3e-4,
        },
    }  # fmt: skip


def play(line: Line, folder: Path, good: int, defective: int) -> dict[str, Any]:
    """Play the week and return what came of it."""
    week = Week(line, good, defective)
    week.setting_up(folder / "normal", 64)
    line.start_inspector("inspector-1")
    week.day("Monday", "usual", new_type=False, good=2 * good)
    week.day("Tuesday", f"{NEW_TYPE} appears")
    week.day("Wednesday", f"{CORRECTIONS} corrections")
    corrections = week.corrected(CORRECTIONS)
    run = week.trainer()
    stages = [week.stage()]
    names = iter(["Thursday, shadow", "Friday, canary", "Saturday", "Sunday"])
    for _ in range(3):
        week.day(next(names), f"stage {stages[-1]}")
        if stages[-1] == "full":
            break
        week.trainer()
        stages.append(week.stage())
    return {
        "corrections": corrections,
        "run": run,
        "stages": stages,
        "days": [asdict(day) for day in week.days],
    }


def draw(told: dict[str, Any], path: Path) -> None:
    """Draw recall of the new type and false alarms, day by day."""
    from matplotlib.figure import Figure

    days = told["days"]
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    names = [f"{day['name']}\n{day['event']}" for day in days]
    recall = [day["found"] / day["defective"] if day["defective"] else np.nan for day in days]
    alarms = [day["false_alarms"] / day["good"] if day["good"] else np.nan for day in days]
    axes.plot(names, recall, "o-", label=f"recall of {NEW_TYPE}")
    axes.plot(names, alarms, "s--", label="false alarms, share of good frames")
    axes.set_ylim(0, 1.02)
    axes.tick_params(axis="x", labelsize=7)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path)


@contextlib.contextmanager
def _services(arguments: argparse.Namespace) -> Iterator[Services]:
    if arguments.bootstrap and arguments.redis:
        yield Services(arguments.bootstrap, arguments.redis, None)
        return
    with running(arguments.out / "services", brokers=1) as own:
        yield own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bootstrap")
    parser.add_argument("--redis")
    parser.add_argument("--good", type=int, default=200, help="good frames a day")
    parser.add_argument("--defective", type=int, default=26, help="frames a day that show the new type")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    prefix = f"week-{uuid.uuid4().hex[:12]}-"
    with (
        _services(arguments) as services,
        running_line(services, arguments.out, prefix, **settings_of(arguments.out)) as line,
    ):
        line.command_timeout_s = 3600.0  # of which the trainer needs minutes
        told = play(line, arguments.out, arguments.good, arguments.defective)
    (arguments.out / "week.json").write_text(json.dumps(told, indent=1))
    draw(told, arguments.out / "week.svg")
    print(f"stages {told['stages']}, outcome {told['run'].get('outcome')}: {arguments.out / 'week.json'}")


if __name__ == "__main__":
    main()
