"""A real inspector process on topics of its own, fed and watched from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from inspector.adapters.kafka.lag import group_lag
from inspector.adapters.kafka.publisher import FramePublisher
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.kafka.scratch import scratch_topics
from inspector.adapters.redis.scratch import ScratchCameras
from inspector.apps import wiring
from inspector.apps.bench import machine
from inspector.apps.bench.measure import Sample
from inspector.apps.bench.pool import LINE_ID, Pool
from inspector.apps.produce import Pacer
from inspector.domain.errors import InspectorError, ServiceUnavailableError
from inspector.pipeline import alert_record
from inspector.pipeline.reject_record import is_reject_alert
from inspector.settings import Settings

_SAMPLE_S = 0.25
_STALL_TIMEOUT_S = 300.0  # loading a large model is the longest wait
_STOP_TIMEOUT_S = 60.0
_FLUSH_TIMEOUT_S = 120.0
_LAST_LOG_CHARS = 600

Progress = Callable[[int], None]


class Interrupted(Exception):  # noqa: N818  nothing went wrong
    """The bench was told to stop."""


def scratch_settings(settings: Settings, prefix: str, folder: Path) -> Settings:
    """Return the settings with topics, group, replica and spool of the bench's own."""
    # Every topic there is: they are deleted afterwards, and one that was forgotten here would be the line's own.
    topics = {setting: f"{prefix}{setting.removesuffix('_topic')}" for setting in settings.kafka.topics}
    kafka = settings.kafka.model_copy(update={"group": f"{prefix}group", **topics})
    spool = settings.spool.model_copy(update={"dir": folder / "spool"})
    return settings.model_copy(update={"kafka": kafka, "spool": spool, "replica": f"{prefix}worker"})


def inspector_environment(settings: Settings, pool: Pool, pixel_threshold: float) -> dict[str, str]:
    """Return the variables that make an ``inspector inspect`` use ``settings``, whatever its file says.

    Only what the bench changes is here; brokers and secrets reach the process as they reached us. The good cameras'
    frames are normal and the defect camera's anomalous whatever the model makes of them.
    """
    model, kafka = settings.model, settings.kafka
    quiet = {"line": LINE_ID, "image_threshold": 1.0, "pixel_threshold": 1.0}
    defective = {"line": LINE_ID, "image_threshold": 0.0, "pixel_threshold": pixel_threshold}
    cameras = {**dict.fromkeys(pool.good_cameras, quiet), pool.defect_camera: defective}
    variables = {
        "REPLICA": settings.replica,
        "LOG_LEVEL": "WARNING",
        "CAMERAS": json.dumps(cameras),
        "MODEL__NAME": model.name,
        "MODEL__PRETRAINED": model.pretrained,
        "MODEL__PRECISION": model.precision,
        "MODEL__ENGINE": model.engine,
        "KAFKA__GROUP": kafka.group,
        **{f"KAFKA__{setting.upper()}": topic for setting, topic in kafka.topics.items()},
    }
    if model.image_size_px is not None:
        variables["MODEL__IMAGE_SIZE_PX"] = str(model.image_size_px)
    return {f"INSPECTOR_{name}": value for name, value in variables.items()}


@dataclass
class BenchLine:
    """What the bench runs against; make it with ``bench_line``. ``stage_group`` is for a reader in this process."""

    settings: Settings
    pool: Pool
    stop: threading.Event
    publisher: FramePublisher
    log_file: Path
    cameras: ScratchCameras
    samples: list[Sample] = field(default_factory=list)
    frame_ids: list[str] = field(default_factory=list)
    _servers: dict[str, int] = field(default_factory=dict)
    _supervisor: subprocess.Popen[bytes] | None = None

    @property
    def frames(self) -> int:
        """Frames published so far."""
        return len(self.frame_ids)

    def publish(self, count: int, rate: float | None, progress: Progress) -> None:
        """Publish ``count`` frames, ``rate`` a second or as fast as it goes, and wait for their acknowledgement.

        Raises:
            Interrupted: we were told to stop.
            InspectorError: Kafka does not take them.
        """
        pacer = Pacer(rate)
        for _ in range(count):
            pacer.wait(self.stop)
            self._check_stop()
            number = self.frames
            meta = self.pool.meta(number)
            self.frame_ids.append(meta.frame_id)
            self.publisher.publish(self.pool.image(number), meta)
            progress(1)
        if not self.publisher.flush(_FLUSH_TIMEOUT_S):
            raise ServiceUnavailableError(
                "Kafka to take the bench's frames", f"no answer in {_FLUSH_TIMEOUT_S:.0f} s", "check its load and disk"
            )

    def start_inspector(self, config_file: Path | None, pixel_threshold: float) -> None:
        """Start ``inspector inspect`` (supervisor and worker) on the bench's topics."""
        command = [sys.executable, "-m", "inspector", "inspect", *(["-c", str(config_file)] if config_file else [])]
        # Passed on whole, not read: what configures us configures it.
        environment = {**os.environ, **inspector_environment(self.settings, self.pool, pixel_threshold)}
        with self.log_file.open("wb") as log:
            # A session of its own: Ctrl-C reaches us alone, and we stop it in order.
            self._supervisor = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        addresses = {
            "kafka": self.settings.kafka.bootstrap_servers.split(",")[0],
            "redis": self.settings.redis.url.get_secret_value(),
        }
        found = {name: machine.local_server(address) for name, address in addresses.items()}
        self._servers = {name: pid for name, pid in found.items() if pid is not None}

    def watch_until_done(self, progress: Progress) -> Sequence[Sample]:
        """Sample the inspector until it has stored every frame published and committed them; return the samples.

        Raises:
            Interrupted: we were told to stop.
            InspectorError: it ended, or got no further for five minutes.
        """
        first = len(self.samples)
        before = self.samples[-1].frames if self.samples else 0
        moved_s = time.monotonic()
        while before < self.frames:
            self.stop.wait(_SAMPLE_S)
            self._check_stop()
            sample = self._sample(moved_s)
            if sample is None:
                continue
            self.samples.append(sample)
            if sample.frames > before:
                progress(sample.frames - before)
                before, moved_s = sample.frames, time.monotonic()
        self._wait_committed()
        return self.samples[first:]

    def _sample(self, moved_s: float) -> Sample | None:
        """Look once; None while there is no worker yet."""
        supervisor = self._running()
        if time.monotonic() - moved_s > _STALL_TIMEOUT_S:
            raise self._failed(f"no progress for {_STALL_TIMEOUT_S:.0f} s")
        frames = self.cameras.stored_frames()
        try:
            worker = machine.only_child(supervisor.pid)
            if worker is None:
                return None
            rss = machine.rss_bytes(worker)
            pids = {"worker": worker, **self._servers, "bench": os.getpid()}
            cpu_s = {name: machine.cpu_s(pid) for name, pid in pids.items()}
        except (FileNotFoundError, ProcessLookupError):
            return None  # it ended between two looks; the next one tells
        return Sample(time.monotonic(), frames, rss, {**cpu_s, "all": machine.busy_s()})

    def _wait_committed(self) -> None:
        connection = wiring.kafka_connection(self.settings)
        kafka = self.settings.kafka
        deadline_s = time.monotonic() + _STALL_TIMEOUT_S
        while sum(group_lag(connection, kafka.group, kafka.frames_topic).values()):
            if time.monotonic() > deadline_s:
                raise self._failed("stored frames that are not committed")
            self.stop.wait(_SAMPLE_S)
            self._check_stop()
            self._running()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._supervisor is None or self._supervisor.poll() is not None:
            raise self._failed("it ended")
        return self._supervisor

    def _failed(self, what: str) -> InspectorError:
        said = self.log_file.read_text(errors="replace").strip()[-_LAST_LOG_CHARS:] if self.log_file.exists() else ""
        return InspectorError(
            "the bench's inspector to work", f"{what}: {said or 'it said nothing'}", "run `inspector doctor`"
        )

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise Interrupted

    def stop_inspector(self) -> None:
        """Stop the inspector in order; kill it if it does not listen."""
        process, self._supervisor = self._supervisor, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # The worker follows: it reads the end of its supervisor's pipe.
            process.kill()
            process.wait()


@contextmanager
def bench_line(
    settings: Settings, pool: Pool, folder: Path, stop: threading.Event, stage_group: str
) -> Iterator[BenchLine]:
    """Create topics of the bench's own; afterwards stop, delete and forget all that it left in Kafka and Redis.

    Raises:
        InspectorError: Kafka or Redis cannot be used.
    """
    kafka = settings.kafka
    cameras = ScratchCameras(wiring.redis_client(settings), pool.cameras)
    plan = wiring.topic_plan(settings)
    with scratch_topics(wiring.kafka_connection(settings), plan, [kafka.group, stage_group]):
        publisher = wiring.publisher(settings, f"{pool.prefix}publisher", _refused)
        line = BenchLine(settings, pool, stop, publisher, folder / "inspector.log", cameras)
        try:
            yield line
        finally:
            line.stop_inspector()
            publisher.close(0.0)
            fences = [(kafka.group, kafka.frames_topic, number) for number in range(kafka.partitions)]
            cameras.forget(line.frame_ids, fences)
            cameras.close()


def _refused(frame_id: str, error: InspectorError) -> None:
    raise error


class AlertTimes:
    """Reads committed alerts as a subscriber would, and notes how long after the capture each one came."""

    def __init__(self, settings: Settings) -> None:
        self.latencies_ms: list[float] = []
        self._settings = settings
        self._since_s = time.time()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="alert-times", daemon=True)

    @contextmanager
    def running(self) -> Iterator[AlertTimes]:
        """Read while the block runs; alerts of frames captured before this object was made do not count."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()

    def wait_for(self, count: int, timeout_s: float = 30.0) -> None:
        """Wait until ``count`` alerts have come.

        Raises:
            InspectorError: they do not.
        """
        deadline_s = time.monotonic() + timeout_s
        while len(self.latencies_ms) < count:
            if time.monotonic() > deadline_s or not self._thread.is_alive():
                raise InspectorError(
                    f"{count} committed alerts", f"{len(self.latencies_ms)} of them", "look into the broker's log"
                )
            time.sleep(0.05)

    def _read(self) -> None:
        connection = wiring.kafka_connection(self._settings)
        topic = self._settings.kafka.alerts_topic
        for record in read_committed(connection, topic, follow=True, stop=self._stop.is_set):
            if is_reject_alert(record):
                continue
            captured_s = alert_record.decode(record.value or b"").captured_at.timestamp()
            if captured_s >= self._since_s:
                self.latencies_ms.append(1e3 * (time.time() - captured_s))
