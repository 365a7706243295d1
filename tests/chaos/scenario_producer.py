"""A producer of a scenario: the service's own publisher with its spool, fed with made-up frames at a steady pace.

    python tests/chaos/scenario_producer.py -c inspector.yaml --dir RUN --rate 100

publishes until SIGTERM, then sends what can still be sent; what cannot waits in the spool. Started again, it goes on
behind the last frame of each camera that was acknowledged: what it had in hand when it was killed is sent once more,
under the same ids, as a camera gateway with a memory of its own would. With ``--behind-spool`` it goes on behind what
its spool holds, too, so that the spool alone answers for that.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from truth import REJECT_PREFIX, AckedLog, read_lines

from inspector import settings as settings_of
from inspector.adapters.kafka.publisher import FramePublisher
from inspector.adapters.telemetry.logs import configure_logging
from inspector.apps import wiring
from inspector.apps.produce import Pacer
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.frame import FrameMeta
from inspector.domain.outcome import RejectReason

FLUSH_S = 120.0
FRAMES_LEFT = 3
"""Exit code: frames wait in the spool."""
_MAGIC = b"\xff\xd8\xff"


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--config", type=Path, required=True)
    parser.add_argument("--dir", type=Path, required=True, help="folder of the run: acked.jsonl, spool/")
    parser.add_argument("--rate", type=float, required=True, help="frames per second, of all cameras together")
    parser.add_argument("--cameras", type=int, default=12)
    parser.add_argument("--frame-bytes", type=int, default=20_000)
    parser.add_argument("--reject-one-in", type=int, default=0, help="a frame that cannot be decoded; 0: none")
    parser.add_argument("--pictures", action="store_true", help="JPEGs that a real decoder takes, of their own size")
    parser.add_argument("--spool-dir", type=Path, help="instead of RUN/spool")
    parser.add_argument("--behind-spool", action="store_true", help="make nothing anew that the spool holds")
    parser.add_argument("--drain", action="store_true", help="make no frames: send what the spool holds, and end")
    parser.add_argument("--window-frames", type=int, default=100, help="frames under way in memory")
    return parser


def image(camera_id: str, sequence: int, size_bytes: int, reject_one_in: int) -> bytes:
    """Return a frame's bytes, which depend on its name alone: a frame sent again is the same frame."""
    seed = f"{camera_id}/{sequence}".encode()
    head = _MAGIC
    if reject_one_in and sequence % reject_one_in == reject_one_in - 1:
        head = REJECT_PREFIX + RejectReason.UNDECODABLE.value.encode() + b"\n"
    return head + hashlib.shake_256(seed).digest(size_bytes - len(head))


def picture(camera_id: str, sequence: int) -> bytes:
    """Return a JPEG of a grey brushed part, 240 x 320, every fourth with a dark mark; about 20 kB."""
    import numpy as np

    from inspector.vision.opencv import cv2

    rng = np.random.default_rng([sequence, *camera_id.encode()])
    rows = rng.normal(150, 6, (240, 1, 1)) + rng.normal(0, 3, (240, 320, 1))
    part = np.clip(rows, 0, 255).astype(np.uint8).repeat(3, axis=2)
    if sequence % 4 == 0:
        cv2.circle(part, (int(rng.integers(60, 260)), int(rng.integers(60, 180))), 26, (20, 20, 30), -1)
    return bytes(cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def meta(camera_id: str, sequence: int) -> FrameMeta:
    return FrameMeta(
        frame_id=f"{camera_id}-{sequence:07}",
        camera_id=camera_id,
        line_id="chaos",
        product="",
        captured_at=datetime.now(UTC),
        content_type="image/jpeg",
        part_id=str(sequence),
    )


def spooled_ids(folder: Path) -> set[str]:
    """Return the ids of the frames in a spool that no process has open; it is left as it is."""
    with tempfile.TemporaryDirectory() as scratch:
        for path in folder.glob("spool.sqlite3*"):  # the newest frames are in its write-ahead log
            shutil.copy(path, scratch)
        with closing(sqlite3.connect(Path(scratch) / "spool.sqlite3")) as database:
            return {frame_id for (frame_id,) in database.execute("SELECT frame_id FROM frames")}


def go_on_from(taken: Iterable[str], cameras: int) -> dict[str, int]:
    """Return the next sequence of each camera, behind the frame ids that were taken."""
    following = {f"cam{number:02}": 0 for number in range(cameras)}
    for frame_id in taken:
        camera_id, _, sequence = frame_id.rpartition("-")
        following[camera_id] = max(following[camera_id], int(sequence) + 1)
    return following


def frames(given: argparse.Namespace, acked: Path, spool: Path) -> Iterator[tuple[bytes, FrameMeta]]:
    """Yield frames for ever, one camera after the other."""
    taken = [line["frame_id"] for line in read_lines(acked)]
    if given.behind_spool and (spool / "spool.sqlite3").exists():
        taken += spooled_ids(spool)
    following = go_on_from(taken, given.cameras)
    while True:
        for camera_id in following:
            sequence = following[camera_id]
            following[camera_id] += 1
            if given.pictures:
                value = picture(camera_id, sequence)
            else:
                value = image(camera_id, sequence, given.frame_bytes, given.reject_one_in)
            yield value, meta(camera_id, sequence)


def publish(publisher: FramePublisher, one: tuple[bytes, FrameMeta], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            publisher.publish(*one)
        except ServiceUnavailableError:
            continue  # the spool is full or its disk is: the camera waits
        return


def main() -> int:
    given = arguments().parse_args()
    settings = settings_of.load(given.config)
    configure_logging(level=settings.log_level)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signum, _frame: stop.set())
    acked = given.dir / "acked.jsonl"
    spool = given.spool_dir or given.dir / "spool"
    coming = frames(given, acked, spool)  # reads log and spool before they are opened for writing
    first = next(coming)
    publisher = FramePublisher(
        wiring.kafka_connection(settings),
        settings.kafka.frames_topic,
        spool,
        settings.spool.max_bytes,
        max_record_bytes=settings.limits.max_frame_bytes,
        window_bytes=given.window_frames * given.frame_bytes,
        full_wait_s=1.0,
        on_ack=AckedLog(acked).add,
    )
    pacer = Pacer(given.rate)
    one = first
    while not (given.drain or stop.is_set()):
        publish(publisher, one, stop)
        pacer.wait(stop)
        one = next(coming)
    done = publisher.flush(FLUSH_S)
    publisher.close()
    return 0 if done else FRAMES_LEFT


if __name__ == "__main__":
    sys.exit(main())
