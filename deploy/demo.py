"""The demo's line: three cameras, two inspectors, a live table, a summary against the truth. Run by ``demo.sh``."""

from __future__ import annotations

import argparse
import itertools
import math
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from demo_log import is_ready
from demo_names import Names
from demo_observe import beside_the_line, observing, tell
from demo_truth import Inspected, compare, read_truth
from demo_view import AlertWatch, CameraRow, Rate, live, summary
from observability.prometheus import Prometheus
from rich.console import Console
from rich.live import Live

from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.lag import group_lag
from inspector.adapters.kafka.scratch import scratch_topics
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.results import RedisResults
from inspector.adapters.redis.scratch import ScratchCameras
from inspector.apps import wiring
from inspector.domain.errors import InspectorError, ServiceUnavailableError
from inspector.domain.result import PredLabel, ScoreMode
from inspector.settings import Settings, load
from inspector.simulator.catalogue import NAMES

CONFIG = Path(__file__).with_name("demo.yaml")
SEED = 7
# Every 37th part: the normal frames spread over the 900 in which the light drifts once up and down.
NORMAL_FRAMES = 32
NORMAL_SOURCE = f"sim:{{name}}?normal=1&seed={SEED}&start=100000&step=37"
DEFECT_RATE = 0.15
REDRAW_S = 0.5
WAYS = {
    ScoreMode.ZERO_SHOT: "words alone",
    ScoreMode.MUTUAL: "the camera's other frames, unlabelled",
    ScoreMode.BANK: "normal frames",
}
# The inspectors load their model while the cameras are enrolled; the line itself starts when both are ready.
READY_TIMEOUT_S = 180.0
DASHBOARDS = "deploy/observability/dashboards"


@dataclass
class Demo:
    """Everything the demo starts, and where it keeps its files."""

    console: Console
    state: Path
    out: Path
    bootstrap: str
    redis_url: str
    names: Names
    metrics_ports: Mapping[str, int] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def addresses(self) -> dict[str, str]:
        """What ``demo.yaml`` leaves open."""
        return {
            "INSPECTOR_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap,
            "INSPECTOR_REDIS__URL": self.redis_url,
            "INSPECTOR_SPOOL__DIR": str(self.state / "spool"),
            "INSPECTOR_SAMPLES__PLACE": str(self.state / "samples"),
            "INSPECTOR_TRAINER__WORK": str(self.state / "trainer"),
            **self.names.environment(),
        }

    @property
    def truth(self) -> Path:
        """Where the lines write what they really made."""
        return self.state / "truth"

    def start(self, name: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start one command of the inspector in the background, its words in a log of its own."""
        if port := self.metrics_ports.get(name):
            environment["INSPECTOR_METRICS__PORT"] = str(port)
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


@contextmanager
def left_as_found(demo: Demo, settings: Settings) -> Iterator[None]:
    """Create the topics; take them and all that was stored for the cameras away again afterwards."""
    plan = wiring.topic_plan(settings)
    with scratch_topics(wiring.kafka_connection(settings), plan, [demo.names.group]):
        try:
            yield
        finally:
            cameras = ScratchCameras(connect(demo.redis_url), [demo.names.camera(name) for name in NAMES])
            fences = [(demo.names.group, plan.frames, partition) for partition in range(plan.partitions)]
            cameras.forget(list(read_truth(demo.truth)), fences)
            cameras.close()


def prepare(demo: Demo, enrolled: bool) -> None:
    """Start inspectors, and enrol the cameras with normal frames if asked to; return when all of it is ready."""
    began_s = time.monotonic()
    start = "Starting two inspectors with the bundled model. "
    if enrolled:
        demo.console.print(f"{start}Enrolling {len(NAMES)} cameras with {NORMAL_FRAMES} normal frames each.")
    else:
        demo.console.print(
            f"{start}It has never seen these parts, and nobody shows it a good one: all it is told is words, such as "
            "[bold]scratch[/] and [bold]missing part[/]."
        )
    for number in (1, 2):
        demo.start(f"inspector-{number}", "inspect", INSPECTOR_REPLICA=demo.names.replica(number))
    for name, environment in beside_the_line(demo.metrics_ports).items():
        demo.start(name, name, **environment)
    if enrolled:
        enroll(demo)
    wait_ready(demo, {f"bank/{demo.names.camera(name)}" for name in NAMES} if enrolled else set())
    demo.console.print(f"Ready after {time.monotonic() - began_s:.0f} s.")


def enroll(demo: Demo) -> None:
    """Show every camera normal frames of its line; a bank of each is announced when this returns."""
    # The same lines at another time: the seed is the product's design, the frame numbers are its parts.
    sources = [(demo.names.camera(name), NORMAL_SOURCE.format(name=name)) for name in NAMES]
    shown = demo.start("enroll", "enroll", *itertools.chain(*sources), "--shots", str(NORMAL_FRAMES))
    demo.finish(shown, "enroll")


def wait_ready(demo: Demo, banks: set[str]) -> None:
    """Wait until both inspectors inspect and hold these banks."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    logs = [demo.state / f"inspector-{number}.log" for number in (1, 2)]
    while not all(is_ready(log.read_text(errors="replace"), banks) for log in logs):
        if time.monotonic() > deadline or any(process.poll() for process in demo.processes):
            raise SystemExit(f"demo: the inspectors did not get ready; their words are in {demo.state}/inspector-*.log")
        time.sleep(0.2)


def run_line(demo: Demo, inspected: Inspected, frames: int, rate: float) -> None:
    """Start the cameras and show the line until every frame is inspected."""
    per_camera = math.ceil(frames / len(NAMES))
    for left in (demo.truth, demo.state / "spool"):  # by a demo that was killed
        shutil.rmtree(left, ignore_errors=True)
    began = datetime.now(UTC)
    cameras = [
        demo.start(
            f"camera-{name}", "produce", f"sim:{name}?seed={SEED}&rate={DEFECT_RATE}",
            "--camera", demo.names.camera(name), "--product", name, "--rate", str(rate), "--limit", str(per_camera),
            "--truth-dir", str(demo.truth / name),
        )
        for name in NAMES
    ]  # fmt: skip
    watch = AlertWatch()
    connection = KafkaConnection(demo.bootstrap)
    follower = watch.follow(connection, demo.names.topics["alerts_topic"], began)
    try:
        show(demo, connection, cameras, watch, inspected, per_camera * len(NAMES))
    finally:
        watch.stop()
        follower.join(5)


def show(
    demo: Demo,
    connection: KafkaConnection,
    cameras: list[subprocess.Popen[bytes]],
    watch: AlertWatch,
    inspected: Inspected,
    published: int,
) -> None:
    """Redraw until the cameras are done and nothing waits."""
    rates = {name: Rate() for name in NAMES}
    began_s = time.monotonic()
    terminal = demo.console.is_terminal
    with ExitStack() as stack:
        screen = stack.enter_context(Live(console=demo.console, auto_refresh=False)) if terminal else None
        told_s = began_s
        while True:
            # Asked before the lag: a camera that ends in between has published everything by then.
            done = all(camera.poll() is not None for camera in cameras)
            lag = waiting_frames(demo, connection)
            inspected.update(read_truth(demo.truth))
            rows = [row(demo.names.camera(name), inspected, rates[name], watch) for name in NAMES]
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


def waiting_frames(demo: Demo, connection: KafkaConnection) -> int | None:
    """Return the consumer lag; None while the fresh broker is still making its group coordinator."""
    try:
        return sum(group_lag(connection, demo.names.group, demo.names.topics["frames_topic"]).values())
    except ServiceUnavailableError:
        return None


def row(camera_id: str, inspected: Inspected, rate: Rate, watch: AlertWatch) -> CameraRow:
    """Return a camera's row as of now."""
    frames, defective = inspected.counts(camera_id)
    types = watch.types.get(camera_id, Counter())
    return CameraRow(camera_id, frames, rate.update(frames), defective, Counter(types))


def report(demo: Demo, results: RedisResults, inspected: Inspected) -> int:
    """Print verdicts against the truth, save the overlays, and return how many frames have no result."""
    truth = read_truth(demo.truth)
    inspected.update(truth)
    scores = compare(truth, inspected.results)
    demo.console.print(summary(scores))
    modes = Counter(result.mode for result in inspected.results.values())
    judged = ", ".join(f"{WAYS[mode]} {count}" for mode, count in modes.most_common())
    demo.console.print(f"Frames judged by {judged or 'nobody'}.")
    overlays = demo.out / "overlays"
    shutil.rmtree(overlays, ignore_errors=True)
    overlays.mkdir(parents=True)
    saved = 0
    for result in inspected.results.values():
        overlay = results.overlay(result.frame_id) if result.pred_label is PredLabel.ANOMALOUS else None
        if overlay is not None:
            (overlays / f"{result.camera_id}-{result.frame_id}.jpg").write_bytes(overlay)
            saved += 1
    demo.console.print(f"{saved} overlays: {overlays}/", soft_wrap=True)
    return sum(score.missing for score in scores.values())


def arguments() -> argparse.Namespace:
    """Read the command line; ``demo.sh`` gives ``--state``, ``--out``, and ``--shared`` on servers that others use."""
    parser = argparse.ArgumentParser(prog="deploy/demo.sh", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--shared", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--frames", type=int, default=300, help="frames of all cameras together (default 300)")
    parser.add_argument("--rate", type=float, default=3.0, help="frames per second of each camera (default 3)")
    parser.add_argument("--observe", action="store_true", help="let a Prometheus of the demo's own read all metrics")
    parser.add_argument("--enroll", action="store_true", help="show every camera normal frames of its line first")
    return parser.parse_args()


def main() -> int:
    """Run the demo; returns the exit code."""
    given = arguments()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    names = Names(f"demo-{secrets.token_hex(3)}-") if given.shared else Names()
    demo = Demo(console, given.state, given.out, os.environ["KAFKA_BOOTSTRAP"], os.environ["REDIS_URL"], names)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = load(CONFIG, {"kafka": {"bootstrap_servers": demo.bootstrap, **names.topics}})
        with left_as_found(demo, settings), ExitStack() as until_done:
            server = None
            if given.observe:
                # What a trainer keeps in Redis has no name of a run: on servers of others there is none.
                server, demo.metrics_ports = until_done.enter_context(
                    observing(demo.state / "prometheus", with_trainer=not given.shared)
                )
                console.print(f"Prometheus reads every process: [bold]{server.url}[/] (dashboards: {DASHBOARDS}/)")
            return run(demo, given, server)
    except InspectorError as error:
        console.print(f"demo: {error}", style="red", markup=False)
        return 1


def run(demo: Demo, given: argparse.Namespace, server: Prometheus | None) -> int:
    """Run the line from its start to its summary; returns the exit code."""
    results = RedisResults(connect(demo.redis_url))
    inspected = Inspected(results.get)
    try:
        prepare(demo, given.enroll)
        run_line(demo, inspected, given.frames, given.rate)
        missing = report(demo, results, inspected)
        if server is not None:
            tell(demo.console, server)
    except KeyboardInterrupt:
        demo.console.print("Stopped.")
        if demo.truth.exists():
            report(demo, results, inspected)
        return 130
    finally:
        demo.stop()
    if missing:
        demo.console.print(f"demo: {missing} frames were published and have no result", style="bold red")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
