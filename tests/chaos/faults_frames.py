"""Faults that come with the frames or the producer's disk: hostile records, a spool without room."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from injected_names import DEADLY
from kafka import KafkaProducer
from scenario import INSPECTORS, Stage
from truth import EXPECTED_HEADER, REJECT_PREFIX

from inspector.domain.outcome import RejectReason

_IMAGE = b"\xff\xd8\xff" + bytes(2_000)
_KEY = b"hostile"
_MIB = 2**20
_FILL_TIMEOUT_S = 300.0
_LETTERS_TIMEOUT_S = 300.0
_LEAST_DECODER_DEATHS = 2


def hostile(salt: str) -> Iterator[tuple[dict[str, Any], RejectReason]]:
    """Yield records that no inspector can use, each kind with the reason it must be given; ``salt`` makes them unlike.

    What a decoder is needed for to refuse is refused by the stub's; the real one has its own tests.
    """
    image = _IMAGE + salt.encode()
    headers = RejectReason.MALFORMED_HEADER
    yield {"key": _KEY, "value": b""}, RejectReason.EMPTY
    yield {"key": _KEY, "value": None}, RejectReason.EMPTY
    yield {"value": image}, RejectReason.NO_CAMERA_ID
    yield {"key": _KEY, "value": image, "headers": [("camera_id", b"other")]}, RejectReason.CAMERA_ID_CONFLICT
    yield {"key": _KEY, "value": image, "headers": [("content_type", b"image/gif")]}, RejectReason.CONTENT_TYPE
    yield {"key": _KEY, "value": image, "headers": [("part_id", b"\xff\xfe")]}, headers
    yield {"key": _KEY, "value": image, "headers": [("lot", b"a\r\nb: c")]}, headers
    yield {"key": _KEY, "value": image, "headers": [("frame_id", b"x" * 10_000)]}, headers
    yield {"key": _KEY, "value": image, "headers": [("captured_at", b"noon")]}, headers
    yield {"key": _KEY, "value": image, "headers": [("schema", b"frames/99")]}, RejectReason.UNKNOWN_SCHEMA
    for reason in (RejectReason.UNDECODABLE, RejectReason.TRUNCATED, RejectReason.TOO_MANY_PIXELS):
        value = REJECT_PREFIX + reason.value.encode() + b"\n" + image
        yield {"key": _KEY, "value": value, "headers": [("content_type", b"image/jpeg")]}, reason


def publish(stage: Stage, records: Iterable[tuple[dict[str, Any], RejectReason]]) -> None:
    """Publish records as a stranger's producer would; each tells the truth keeper why it is to be rejected."""
    with closing(KafkaProducer(bootstrap_servers=stage.cluster.services.kafka_bootstrap, acks="all")) as producer:
        for record, reason in records:
            expected = (EXPECTED_HEADER, f"rejected:{reason.value}".encode())
            producer.send(stage.line.topic("frames"), **{**record, "headers": [*record.get("headers", ()), expected]})
        producer.flush(60)


@dataclass
class HostileFrames:
    """A burst of records that must become dead letters, one each, in between the frames of the line."""

    burst: int = 100
    grown_at_most_mib: float = 100.0
    worker_options: Sequence[str] = ()
    _rss_mib: dict[int, float] = field(default_factory=dict, repr=False)

    @property
    def how(self) -> str:
        return f"bursts of {self.burst}, 13 kinds of records that no inspector can use"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        if not self._rss_mib:
            self._rss_mib = {pid: rss_mib(pid) for pid in stage.fleet.pids().values()}
        kinds = cycle(hostile(uuid.uuid4().hex))
        publish(stage, islice(kinds, self.burst))
        stage.happened(self.burst)

    def finish(self, stage: Stage) -> None:
        done = stage.wait(
            lambda: len(stage.line.committed("dead-letter")) >= stage.times, _LETTERS_TIMEOUT_S, "letters"
        )
        letters = len(stage.line.committed("dead-letter"))
        grown = [rss_mib(pid) - before for pid, before in self._rss_mib.items() if done]
        if max(grown, default=0.0) > self.grown_at_most_mib:
            stage.problems.append(f"an inspector grew by {max(grown):.0f} MiB")
        stage.note = f"{letters} dead letters; RSS grew by at most {max(grown, default=0.0):.0f} MiB"


@dataclass
class DeadlyFrame:
    """A frame whose decoding ends the process by SIGSEGV, among good ones; inspectors are killed beside it."""

    timeout_s: float = 300.0
    worker_options: Sequence[str] = ("--plant=injected.decode", "--session-timeout-ms=3000")

    @property
    def how(self) -> str:
        return "a frame that ends its decoder by SIGSEGV; at once, SIGKILL of an inspector"

    def prepare(self, stage: Stage) -> None:
        stage.fleet.foreseen |= {-signal.SIGSEGV}

    def inject(self, stage: Stage) -> None:
        letters, deaths = len(stage.line.committed("dead-letter")), _decoder_deaths(stage)
        image = _IMAGE + DEADLY + uuid.uuid4().bytes
        publish(stage, [({"key": b"deadly", "value": image}, RejectReason.DECODER_CRASH)])
        time.sleep(stage.rng.uniform(0, 2))
        stage.fleet.kill(stage.rng.choice(INSPECTORS))
        stage.wait(lambda: len(stage.line.committed("dead-letter")) > letters, self.timeout_s, "its dead letter")
        # Three deaths make a dead letter, one of which may be the SIGKILL, if it met the frame in the decoder.
        if _decoder_deaths(stage) - deaths < _LEAST_DECODER_DEATHS:
            stage.problems.append(f"{_decoder_deaths(stage) - deaths} deaths by SIGSEGV for a dead letter")
        stage.happened()

    def finish(self, stage: Stage) -> None:
        stage.note = f"{_decoder_deaths(stage)} deaths by decoding"


def _decoder_deaths(stage: Stage) -> int:
    return sum(death.code == -signal.SIGSEGV for death in tuple(stage.fleet.deaths))


def rss_mib(pid: int) -> float:
    """Return the memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


@dataclass
class SpoolDiskFull:
    """The producer's link is cut until the small disk below its spool (a tmpfs, which needs root) is full."""

    full_s: float = 20.0
    disk_mib: int = 4
    worker_options: Sequence[str] = ()

    @property
    def how(self) -> str:
        return f"link cut until the spool's disk of {self.disk_mib} MiB is full, and {self.full_s:.0f} s longer"

    def prepare(self, stage: Stage) -> None:
        self._disk = stage.line.dir / "small-disk"
        self._disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={self.disk_mib}m", "tmpfs", str(self._disk)]
        subprocess.run(mount, check=True, capture_output=True)
        # Lazily: it goes when the last file in it is closed, however the row ends.
        stage.at_the_end.callback(subprocess.run, ["umount", "--lazy", str(self._disk)], check=True)
        stage.producer.add(f"--spool-dir={self._disk / 'spool'}")

    def inject(self, stage: Stage) -> None:
        stage.cluster.proxy.cut()
        stage.wait(self._is_full, _FILL_TIMEOUT_S, "the spool's disk full")
        time.sleep(self.full_s)
        acked = stage.producer.acked()
        stage.cluster.proxy.mend()
        stage.happened()
        stage.wait(lambda: stage.producer.acked() > acked, 60, "the producer sending again")

    def finish(self, stage: Stage) -> None:
        stage.cluster.proxy.mend()

    def _is_full(self) -> bool:
        disk = os.statvfs(self._disk)
        return disk.f_bavail < 0.1 * disk.f_blocks
