"""The demo's line: three cameras, two inspectors, a live table, a summary against the truth. Run by ``demo.sh``."""

from __future__ import annotations

import argparse
import itertools
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from demo_truth import compare, read_truth
from demo_view import AlertWatch, CameraRow, Rate, live, summary
from rich.console import Console
from rich.live import Live

from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.lag import group_lag
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.results import RedisResults
from inspector.domain.errors import InspectorError, ServiceUnavailableError
from inspector.domain.result import PredLabel
from inspector.simulator.catalogue import NAMES

CONFIG = Path(__file__).with_name("demo.yaml")
FRAMES_TOPIC = "inspection.frames"
ALERTS_TOPIC = "inspection.alerts"
GROUP = "inspectors"
SEED = 7
NORMAL_FRAMES = 24
DEFECT_RATE = 0.15
REDRAW_S = 0.5
# The inspectors load their model while the cameras are enrolled; the line itself starts when both are ready.
READY_TIMEOUT_S = 180.0


@dataclass
class Demo:
    """Everything the demo starts, and where it keeps its files."""

    console: Console
    state: Path
    out: Path
    bootstrap: str
    redis_url: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def addresses(self) -> dict[str, str]:
        """What ``demo.yaml`` leaves open."""
        return {
            "INSPECTOR_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap,
            "INSPECTOR_REDIS__URL": self.redis_url,
            "INSPECTOR_SPOOL__DIR": str(self.state / "spool"),
        }

    def start(self, name: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start one command of the inspector in the background, its words in a log of its own."""
        with (self.state / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "inspector", *arguments, "-c", str(CONFIG)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is ours: we stop them in order
                env={**os.environ, **self.addresses, **environment},
            )
        self.processes.append(process)
        return process

    def finish(self, process: subprocess.Popen[bytes], name: str) -> None:
        """Wait for a command that must succeed."""
        if process.wait() != 0:
            words = (self.state / f"{name}.log").read_text(errors="replace").strip().splitlines()
            raise SystemExit(f"demo: {name} failed: {words[-1] if words else 'no message'}")

    def stop(self) -> None:
        """Stop everything, inspectors last in their own time; nothing is left running."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + 20
        for process in self.processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def camera_of(product: str) -> str:
    """Return the id of the camera that watches a product."""
    return f"cam-{product}"


def prepare(demo: Demo) -> None:
    """Create topics, start inspectors, enrol the cameras with normal frames; return when all of it is ready."""
    began_s = time.monotonic()
    demo.finish(demo.start("topics", "topics", "create"), "topics")
    demo.console.print(
        f"Enrolling {len(NAMES)} cameras with {NORMAL_FRAMES} normal frames each, and starting two inspectors. "
        "No trained model is bundled yet: scores come from the normal frames, the text side is untrained, "
        "so [bold]where[/] means something and [bold]which type[/] is a guess."
    )
    for number in (1, 2):
        demo.start(f"inspector-{number}", "inspect", INSPECTOR_REPLICA=f"demo-{number}")
    # The same lines at another time: the seed is the product's design, the frame numbers are its parts.
    sources = [(camera_of(name), f"sim:{name}?normal=1&seed={SEED}&start=100000") for name in NAMES]
    enroll = demo.start("enroll", "enroll", *itertools.chain(*sources), "--shots", str(NORMAL_FRAMES))
    demo.finish(enroll, "enroll")
    wait_ready(demo)
    demo.console.print(f"Ready after {time.monotonic() - began_s:.0f} s.")


def wait_ready(demo: Demo) -> None:
    """Wait until both inspectors hold every camera's bank."""
    banks = [f"bank/{camera_of(name)}" for name in NAMES]
    deadline = time.monotonic() + READY_TIMEOUT_S
    logs = [demo.state / f"inspector-{number}.log" for number in (1, 2)]
    while not all(bank in log.read_text(errors="replace") for log in logs for bank in banks):
        if time.monotonic() > deadline or any(process.poll() for process in demo.processes):
            raise SystemExit(f"demo: the inspectors did not get ready; their words are in {demo.state}/inspector-*.log")
        time.sleep(0.2)


def run_line(demo: Demo, frames: int, rate: float) -> None:
    """Start the cameras and show the line until every frame is inspected."""
    per_camera = math.ceil(frames / len(NAMES))
    truth = demo.state / "truth"
    shutil.rmtree(truth, ignore_errors=True)
    cameras = [
        demo.start(
            camera_of(name), "produce", f"sim:{name}?seed={SEED}&rate={DEFECT_RATE}",
            "--camera", camera_of(name), "--product", name, "--rate", str(rate), "--limit", str(per_camera),
            "--truth-dir", str(truth / name),
        )
        for name in NAMES
    ]  # fmt: skip
    watch = AlertWatch()
    connection = KafkaConnection(demo.bootstrap)
    follower = watch.follow(connection, ALERTS_TOPIC)
    try:
        show(demo, connection, cameras, watch, per_camera * len(NAMES))
    finally:
        watch.stop()
        follower.join(5)


def show(
    demo: Demo,
    connection: KafkaConnection,
    cameras: list[subprocess.Popen[bytes]],
    watch: AlertWatch,
    published: int,
) -> None:
    """Redraw until the cameras are done and nothing waits."""
    results = RedisResults(connect(demo.redis_url))
    rates = {name: Rate() for name in NAMES}
    began_s = time.monotonic()
    terminal = demo.console.is_terminal
    with ExitStack() as stack:
        screen = stack.enter_context(Live(console=demo.console, auto_refresh=False)) if terminal else None
        told_s = began_s
        while True:
            # Asked before the lag: a camera that ends in between has published everything by then.
            done = all(camera.poll() is not None for camera in cameras)
            lag = waiting_frames(connection)
            rows = [row(name, results, rates[name], watch) for name in NAMES]
            view = live(rows, published=published, lag=lag, watch=watch, elapsed_s=time.monotonic() - began_s)
            finished = done and lag == 0
            if screen is not None:
                screen.update(view, refresh=True)
            elif finished or time.monotonic() - told_s >= 5:
                told_s = time.monotonic()
                demo.console.print(view)
            if finished:
                break
            if any(process.poll() not in (None, 0) for process in demo.processes):
                raise SystemExit(f"demo: a process ended early; its words are in {demo.state}/*.log")
            time.sleep(REDRAW_S)


def waiting_frames(connection: KafkaConnection) -> int | None:
    """Return the consumer lag; None while the fresh broker is still making its group coordinator."""
    try:
        return sum(group_lag(connection, GROUP, FRAMES_TOPIC).values())
    except ServiceUnavailableError:
        return None


def row(name: str, results: RedisResults, rate: Rate, watch: AlertWatch) -> CameraRow:
    """Return a camera's row as of now."""
    camera_id = camera_of(name)
    counts = results.counts(camera_id)
    frames = counts.good + counts.defect
    types = watch.types.get(camera_id, Counter())
    return CameraRow(camera_id, frames, rate.update(frames), counts.defect, Counter(types))


def report(demo: Demo) -> None:
    """Print verdicts against the truth and save the overlays."""
    results = RedisResults(connect(demo.redis_url))
    inspected = [result for name in NAMES for result in results.last(camera_of(name), 1_000_000)]
    demo.console.print(summary(compare(read_truth(demo.state / "truth"), inspected)))
    overlays = demo.out / "overlays"
    shutil.rmtree(overlays, ignore_errors=True)
    overlays.mkdir(parents=True)
    saved = 0
    for result in inspected:
        overlay = results.overlay(result.frame_id) if result.pred_label is PredLabel.ANOMALOUS else None
        if overlay is not None:
            (overlays / f"{result.camera_id}-{result.frame_id}.jpg").write_bytes(overlay)
            saved += 1
    demo.console.print(f"{saved} overlays: {overlays}/", soft_wrap=True)


def arguments() -> argparse.Namespace:
    """Read the command line; ``demo.sh`` gives ``--state`` and ``--out``."""
    parser = argparse.ArgumentParser(prog="deploy/demo.sh", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--frames", type=int, default=300, help="frames of all cameras together (default 300)")
    parser.add_argument("--rate", type=float, default=3.0, help="frames per second of each camera (default 3)")
    return parser.parse_args()


def main() -> int:
    """Run the demo; returns the exit code."""
    given = arguments()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    demo = Demo(console, given.state, given.out, os.environ["KAFKA_BOOTSTRAP"], os.environ["REDIS_URL"])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        prepare(demo)
        run_line(demo, given.frames, given.rate)
        report(demo)
    except KeyboardInterrupt:
        console.print("Stopped.")
        if (demo.state / "truth").exists():
            report(demo)
        return 130
    except InspectorError as error:
        console.print(f"demo: {error}", style="red", markup=False)
        return 1
    finally:
        demo.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
