"""What the line left behind: committed alerts and dead letters, results in Redis, committed offsets, the journal."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

from journal import StoredBatch, read_journal
from kafka.admin import OffsetSpec
from kafka.structs import TopicPartition
from truth import TrueFrame, read_lines, read_truth

from inspector.adapters.kafka import clients, partitions
from inspector.adapters.kafka.connection import KafkaConnection, admin_client
from inspector.adapters.kafka.group_offsets import group_offsets
from inspector.adapters.redis import keys
from inspector.apps import wiring
from inspector.domain.alert import ALERT_TYPE
from inspector.domain.frame import FrameSource
from inspector.pipeline.dead_letter import DROPPED
from inspector.settings import Settings

_POLL_MS = 200
# A transaction orphaned by a kill holds readers of committed records back until it times out, after 10 s.
_READ_TIMEOUT_S = 60.0
_PAGE = 500


@dataclass(frozen=True, slots=True)
class SeenAlert:
    """One committed alert; ``place`` is its partition and offset in the alerts topic.

    ``repaired``: `inspector reconcile` sent it, late and therefore out of its camera's order.
    """

    place: tuple[int, int]
    alert_id: str
    camera_id: str
    frame_id: str
    source: FrameSource
    score: float
    weights_version: str
    ce_id: str
    part_id: str = ""
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class SeenNotice:
    """A committed record of the alerts topic that is no defect event, by its CloudEvents headers."""

    ce_id: str
    ce_type: str


@dataclass(frozen=True, slots=True)
class SeenLetter:
    """One committed dead letter. ``sha256`` is what it says of the frame, ``content_sha256`` what its value gives."""

    source: FrameSource
    reason: str
    sha256: str
    content_sha256: str


@dataclass(frozen=True, slots=True)
class SeenResult:
    """One result in Redis; ``repaired``: `inspector reconcile` scored the frame again, by the weights of then.

    ``filed_as`` is the frame's id by the key under which it was found.
    """

    frame_id: str
    camera_id: str
    source: FrameSource
    label: str
    score: float
    weights_version: str
    inspected_at: str
    filed_as: str
    part_id: str = ""
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """How long and how many results are kept: seconds, and frames a camera."""

    good_s: float
    defect_s: float
    good_per_camera: int
    defect_per_camera: int


@dataclass
class Evidence:
    """Everything that a check compares. ``committed`` is the next offset of each partition that has one.

    ``held`` are the first and the next offset of each partition of the frames topic, as the admin interface tells them.
    """

    truth: Sequence[TrueFrame]
    kept: Kept
    now_s: float = field(default_factory=time.time)
    held: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    alerts: Sequence[SeenAlert] = ()
    notices: Sequence[SeenNotice] = ()
    letters: Sequence[SeenLetter] = ()
    dropped: Sequence[FrameSource] = ()
    results: Sequence[SeenResult] = ()
    once_stored: Mapping[str, FrameSource] = field(default_factory=dict)
    committed: Mapping[int, int] = field(default_factory=dict)
    journal: Sequence[StoredBatch] = ()
    acked: Sequence[tuple[str, int, int]] = ()


def gather(truth: Path, settings: Settings, journal: Path | None, acked: Sequence[Path]) -> Evidence:
    """Read it all. The line should stand still; the ends of the topics are taken before they are read.

    Raises:
        ServiceUnavailableError, KafkaError: Kafka or Redis is away.
        TimeoutError: records up to the ends did not become readable.
    """
    connection, kafka, kept = wiring.kafka_connection(settings), settings.kafka, settings.retention
    frames = read_truth(truth)
    committed = _committed(connection, kafka.group, kafka.frames_topic)
    limit = settings.limits.max_frame_bytes
    events = list(read_to_the_end(connection, kafka.alerts_topic, limit))
    notices = [SeenNotice(_headers(raw).get("ce_id", ""), _type(raw)) for raw in events if _type(raw) != ALERT_TYPE]
    letters = [_letter(raw) for raw in read_to_the_end(connection, kafka.dead_letter_topic, limit)]
    client = wiring.redis_client(settings)
    try:
        results = [result for result in _results(client) if result.source.topic == kafka.frames_topic]
        known = {result.frame_id for result in results}
        once_stored = dict(_once_stored(client, (f.frame_id for f in frames if f.frame_id not in known)))
    finally:
        client.close()
    return Evidence(
        truth=frames,
        kept=Kept(3600 * kept.good_hours, 3600 * kept.defect_hours, kept.good_per_camera, kept.defect_per_camera),
        held=_held(connection, kafka.frames_topic),
        alerts=[_alert(raw) for raw in events if _type(raw) == ALERT_TYPE],
        notices=notices,
        letters=[letter for letter in letters if letter.reason != DROPPED],
        dropped=[letter.source for letter in letters if letter.reason == DROPPED],
        results=results,
        once_stored=once_stored,
        committed=committed,
        journal=[] if journal is None else list(read_journal(journal)),
        acked=[(a["frame_id"], a["partition"], a["offset"]) for path in acked for a in read_lines(path)],
    )


def read_to_the_end(connection: KafkaConnection, topic: str, max_record_bytes: int) -> Iterator[Any]:
    """Yield the committed records of a topic, partition by partition in order, up to its ends as they are now.

    The ends are those of all records, so that what an open transaction hides for a while is waited for.
    """
    ends = _offsets(connection, topic, OffsetSpec.LATEST)
    consumer = clients.lone_consumer(connection, max_record_bytes=max_record_bytes)
    read: dict[TopicPartition, list[Any]] = {partition: [] for partition in ends}
    deadline_s = time.monotonic() + _READ_TIMEOUT_S
    try:
        partitions.seek_to_beginning(consumer, partitions.assign_all(consumer, topic, connection))
        while not partitions.reached(consumer, ends):
            polled = consumer.poll(timeout_ms=_POLL_MS)
            for partition, batch in polled.items():
                read[partition].extend(raw for raw in batch if raw.offset < ends[partition])
            if polled:
                deadline_s = time.monotonic() + _READ_TIMEOUT_S
            elif time.monotonic() > deadline_s:
                raise TimeoutError(f"{topic}: nothing came for {_READ_TIMEOUT_S:.0f} s, and the ends are not reached")
    finally:
        clients.close_consumer(consumer, 2.0)
    for _, batch in sorted(read.items()):
        yield from batch


def _offsets(connection: KafkaConnection, topic: str, which: Any) -> dict[TopicPartition, int]:
    with admin_client(connection) as admin:
        described = admin.describe_topics([topic])[0]["partitions"]
        wanted = {TopicPartition(topic, each["partition_index"]): which for each in described}
        return {partition: found.offset for partition, found in admin.list_partition_offsets(wanted).items()}


def _held(connection: KafkaConnection, topic: str) -> dict[int, tuple[int, int]]:
    starts = _offsets(connection, topic, OffsetSpec.EARLIEST)
    ends = _offsets(connection, topic, OffsetSpec.LATEST)
    return {partition.partition: (start, ends[partition]) for partition, start in starts.items()}


def _committed(connection: KafkaConnection, group: str, topic: str) -> dict[int, int]:
    with admin_client(connection) as admin:
        described = admin.describe_topics([topic])[0]["partitions"]
        wanted = [TopicPartition(topic, each["partition_index"]) for each in described]
        found = group_offsets(admin, group, wanted)
    return {partition.partition: at.offset for partition, at in found.items() if at.offset >= 0}


def _headers(raw: Any) -> dict[str, str]:
    # The first of a name is the service's own; what it passes on of the frame's headers comes after.
    found: dict[str, str] = {}
    for name, value in raw.headers:
        found.setdefault(name, (value or b"").decode(errors="replace"))
    return found


def _type(raw: Any) -> str:
    return _headers(raw).get("ce_type", "")


def _alert(raw: Any) -> SeenAlert:
    alert = json.loads(raw.value)
    return SeenAlert(
        (raw.partition, raw.offset),
        alert["alert_id"],
        alert["camera_id"],
        alert["frame_id"],
        FrameSource(**alert["source"]),
        alert["anomaly_score"],
        alert["weights_version"],
        _headers(raw).get("ce_id", ""),
        alert.get("part_id") or "",
        alert.get("repaired_at") is not None,
    )


def _letter(raw: Any) -> SeenLetter:
    headers = _headers(raw)
    source = FrameSource(headers["topic"], int(headers["partition"]), int(headers["offset"]))
    value = raw.value or b""
    by_reference = headers["payload"] == "reference"
    content = json.loads(value)["sha256"] if by_reference else hashlib.sha256(value).hexdigest()
    return SeenLetter(source, headers["reason"], headers["sha256"], content)


def _results(client: Any) -> Iterator[SeenResult]:
    for page in _pages(client.scan_iter(match=f"{keys.result('')}*", count=_PAGE)):
        for key, data in zip(page, client.mget(page), strict=True):
            if data is not None:
                result = json.loads(data)
                yield SeenResult(
                    result["frame_id"],
                    result["camera_id"],
                    FrameSource(**result["source"]),
                    result["pred_label"],
                    result["anomaly_score"],
                    result["weights_version"],
                    result["inspected_at"],
                    key.decode().removeprefix(keys.result("")),
                    result.get("part_id") or "",
                    result.get("repaired_at") is not None,
                )


def _once_stored(client: Any, frame_ids: Iterable[str]) -> Iterator[tuple[str, FrameSource]]:
    for page in _pages(frame_ids):
        for frame_id, place in zip(page, client.mget([keys.seen(each) for each in page]), strict=True):
            if place is not None:
                topic, partition, offset = cast(bytes, place).decode().rsplit(":", 2)
                yield frame_id, FrameSource(topic, int(partition), int(offset))


def _pages(items: Iterable[Any]) -> Iterator[list[Any]]:
    remaining = iter(items)
    while page := list(islice(remaining, _PAGE)):
        yield page
