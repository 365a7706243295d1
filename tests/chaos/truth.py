"""The truth: which frames Kafka took, written by a process of its own, which shares no state with the line.

The keeper reads the frames topic itself (committed records, no group, from the beginning) and appends a line of JSON
for each frame. A producer that logs its own acknowledgements is the weaker witness: killed, it has frames acknowledged
that it never wrote down, and those are the frames at risk. What the topic holds is what the line owes an outcome for.
It reads with the service's own consumer, mended client and all: a record that this one passed over would be missed by
both. Therefore the checker asks the brokers' admin interface for the offsets, all of which the log must hold.
The one thing that the topic cannot tell is a frame that was acknowledged and then lost by the brokers: for that a
producer may keep an ``AckedLog``, and the checker holds it against the truth.

    python tests/chaos/truth.py LOG -c inspector.yaml --follow

appends until SIGTERM, then catches up with the ends of the topic and leaves; without ``--follow`` it does only that. A
keeper that was killed goes on where its log ends.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kafka import errors
from kafka.structs import TopicPartition

from inspector import settings as settings_of
from inspector.adapters.kafka import clients, partitions
from inspector.adapters.kafka.connection import KafkaConnection
from inspector.apps import wiring
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.frame import FrameSource
from inspector.pipeline.frame_record import default_frame_id
from inspector.settings import Settings

INSPECTED = "inspected"
EXPECTED_HEADER, SEQUENCE_HEADER = "chaos.expected", "chaos.sequence"
# A frame whose bytes begin so is refused by the stub's decoder; the reason follows, up to a line break.
REJECT_PREFIX = b"chaos/reject:"

_POLL_MS = 200
_RETRY_S = 1.0
_SYNC_EVERY_S = 1.0
_CLOSE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class TrueFrame:
    """One acknowledged frame. ``expected`` is ``inspected`` or ``rejected:REASON``, as its producer meant it.

    ``sequence`` numbers the frames of a camera as its producer made them; -1 where it did not say.
    ``timestamp_ms`` is Kafka's, since 1970.
    """

    frame_id: str
    camera_id: str
    topic: str
    partition: int
    offset: int
    sha256: str
    captured_at: str
    sequence: int
    expected: str
    timestamp_ms: int
    part_id: str = ""

    @property
    def source(self) -> FrameSource:
        return FrameSource(self.topic, self.partition, self.offset)


def record(
    camera_id: str, frame_id: str, image: bytes | None, sequence: int, expected: str = INSPECTED
) -> dict[str, Any]:
    """Return the keyword arguments of ``KafkaProducer.send`` for one frame that the keeper understands.

    Producers that cannot set headers say the sequence as ``part_id`` and what is expected by ``REJECT_PREFIX``.
    """
    headers = {
        "frame_id": frame_id,
        "captured_at": datetime.now(UTC).isoformat(),
        SEQUENCE_HEADER: str(sequence),
        EXPECTED_HEADER: expected,
    }
    return {
        "key": camera_id.encode(),
        "value": image,
        "headers": [(name, text.encode()) for name, text in headers.items()],
    }


class AckedLog:
    """A producer's own log of what Kafka acknowledged to it: ``FramePublisher(on_ack=AckedLog(path).add)``."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)  # one write a line: a killed process has lost none it wrote

    def add(self, frame_id: str, partition: int, offset: int) -> None:
        """Append one acknowledgement."""
        self._file.write(json.dumps({"frame_id": frame_id, "partition": partition, "offset": offset}).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_truth(path: Path) -> list[TrueFrame]:
    """Return the frames of a log, whose last line may be half written."""
    return [TrueFrame(**line) for line in read_lines(path)]


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a file of JSON lines; a file that is not there has none."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


class TruthKeeper:
    """Appends what the topic holds to a log; see the module's text."""

    def __init__(self, path: Path, connection: KafkaConnection, topic: str, max_frame_bytes: int) -> None:
        self._connection, self._topic, self._max_frame_bytes = connection, topic, max_frame_bytes
        self._next: dict[int, int] = {}
        for frame in read_truth(path):
            self._next[frame.partition] = frame.offset + 1
        _cut_half_line(path)
        self._file = path.open("ab")
        self._synced_s = time.monotonic()

    def follow(self, stop: threading.Event) -> None:
        """Append until told to stop, through any outage; then catch up with the ends of the topic."""
        while not stop.is_set():
            with suppress(errors.KafkaError, ServiceUnavailableError):
                self._read(stop)
            stop.wait(_RETRY_S)
        self.catch_up()

    def catch_up(self) -> None:
        """Append everything up to the ends of the topic as they are now.

        Raises:
            KafkaError: the brokers are away.
        """
        self._read(None)
        self._sync()

    def close(self) -> None:
        """Close the log."""
        self._file.close()

    def _read(self, stop: threading.Event | None) -> None:
        consumer = clients.lone_consumer(self._connection, max_record_bytes=self._max_frame_bytes)
        try:
            assigned = partitions.assign_all(consumer, self._topic, self._connection)
            partitions.seek_to_beginning(consumer, assigned)
            for partition in assigned:
                if partition.partition in self._next:
                    consumer.seek(partition, self._next[partition.partition])
            ends = partitions.end_offsets(consumer, assigned)
            while not (stop.is_set() if stop is not None else partitions.reached(consumer, ends)):
                self._append(consumer.poll(timeout_ms=_POLL_MS))
        finally:
            clients.close_consumer(consumer, _CLOSE_TIMEOUT_S)

    def _append(self, polled: Mapping[TopicPartition, list[Any]]) -> None:
        for partition, batch in polled.items():
            for raw in batch:
                self._file.write(json.dumps(asdict(_true_frame(raw))).encode() + b"\n")
                self._next[partition.partition] = raw.offset + 1
        self._file.flush()
        if time.monotonic() - self._synced_s > _SYNC_EVERY_S:
            self._sync()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced_s = time.monotonic()


def _cut_half_line(path: Path) -> None:
    if path.exists():
        whole = path.read_bytes()
        os.truncate(path, whole.rfind(b"\n") + 1)


def _true_frame(raw: Any) -> TrueFrame:
    headers = {name: (value or b"").decode(errors="replace") for name, value in raw.headers}
    value = raw.value or b""
    sequence = headers.get(SEQUENCE_HEADER) or headers.get("part_id", "")
    return TrueFrame(
        frame_id=headers.get("frame_id") or default_frame_id(FrameSource(raw.topic, raw.partition, raw.offset)),
        camera_id=headers.get("camera_id") or (raw.key or b"").decode(errors="replace"),
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        sha256=hashlib.sha256(value).hexdigest(),
        captured_at=headers.get("captured_at", ""),
        sequence=int(sequence) if sequence.isdecimal() else -1,
        expected=headers.get(EXPECTED_HEADER) or _expected(value),
        timestamp_ms=raw.timestamp,
        part_id=headers.get("part_id", ""),
    )


def _expected(value: bytes) -> str:
    reason = asked_rejection(value)
    return INSPECTED if reason is None else f"rejected:{reason}"


def asked_rejection(value: bytes) -> str | None:
    """Return the reason for which a frame's own bytes ask to be rejected, if they do."""
    if not value.startswith(REJECT_PREFIX):
        return None
    return value.split(b"\n", 1)[0].removeprefix(REJECT_PREFIX).decode()


def keeper(path: Path, settings: Settings) -> TruthKeeper:
    """Return the keeper of a configured line; close it."""
    connection = wiring.kafka_connection(settings)
    return TruthKeeper(path, connection, settings.kafka.frames_topic, settings.limits.max_frame_bytes)


def main() -> int:
    """Keep the truth of the configured line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("-c", "--config", type=Path, help="settings of the line")
    parser.add_argument("--follow", action="store_true", help="go on until SIGTERM")
    given = parser.parse_args()
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda _signum, _frame: stop.set())
    settings = settings_of.load(given.config)
    with closing(keeper(given.log, settings)) as kept:
        if given.follow:
            kept.follow(stop)
        else:
            kept.catch_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
