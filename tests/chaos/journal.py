"""What each worker stored, and under which generation: the one thing that neither Kafka nor Redis tells afterwards.

A line a batch, appended after the store answered. A worker killed in between leaves a batch out, which the checker
counts as unknown: the journal accuses, it does not acquit.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from truth import read_lines

from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Inspected
from inspector.pipeline.ports import ResultStore, StoreStatus


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One result as it was handed to the store; ``inspected_at`` (RFC 3339) tells one writing of it from another."""

    source: FrameSource
    inspected_at: str
    weights_version: str
    status: str


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """The results of one batch."""

    pid: int
    generation: int
    frames: tuple[StoredFrame, ...]


class JournallingStore:
    """``ports.ResultStore``: passes everything on to the real one, and writes down what became of it."""

    def __init__(self, inner: ResultStore, folder: Path) -> None:
        self._inner = inner
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / f"stores-{os.getpid()}-{time.time_ns()}.jsonl").open("ab", buffering=0)

    def store(self, results: Sequence[Inspected], fencing_token: int) -> Sequence[StoreStatus]:
        statuses = self._inner.store(results, fencing_token)
        frames = [
            [*_place(each.source), each.result.inspected_at.isoformat(), each.result.weights_version, status.value]
            for each, status in zip(results, statuses, strict=True)
        ]
        if frames:
            line = {"pid": os.getpid(), "generation": fencing_token, "frames": frames}
            self._file.write(json.dumps(line).encode() + b"\n")
        return statuses

    def stored_up_to(
        self, partitions: Collection[tuple[str, int]], fencing_token: int
    ) -> Mapping[tuple[str, int], int]:
        return self._inner.stored_up_to(partitions, fencing_token)


def read_journal(folder: Path) -> Iterator[StoredBatch]:
    """Yield the batches of all workers, one worker after another."""
    for path in sorted(folder.glob("stores-*.jsonl")):
        for line in read_lines(path):
            frames = tuple(StoredFrame(FrameSource(*frame[:3]), *frame[3:]) for frame in line["frames"])
            yield StoredBatch(line["pid"], line["generation"], frames)


def _place(source: FrameSource) -> tuple[str, int, int]:
    return source.topic, source.partition, source.offset
