"""Publishes frames in order, through outages: what Kafka cannot take yet waits in memory, then on disk."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.send_window import OnAck, SendWindow
from inspector.adapters.kafka.spool import Spool, SpooledFrame, SpoolError
from inspector.domain.errors import BadInputError, CredentialsError, InspectorError, ServiceUnavailableError
from inspector.domain.frame import FrameMeta
from inspector.pipeline.frame_record import encode_headers

_log = logging.getLogger(__name__)


class PublisherStoppedError(InspectorError):
    """The publisher ended by a fault; waiting does not help, another start may."""


OnRefused = Callable[[str, InspectorError], None]

_CLOSE_TIMEOUT_S = 5.0
_IDLE_S = 0.5


@dataclass(frozen=True, slots=True)
class PublisherCounts:
    """Frames so far; ``waiting`` and ``spooled`` are not acknowledged yet, the first in memory, the second on disk.

    ``spooled_bytes`` are those of the images on disk. ``held_up`` frames had to wait for room, ``refused`` ones were
    not taken or not accepted by the brokers.
    """

    acked: int
    waiting: int
    spooled: int
    held_up: int
    refused: int
    spooled_bytes: int = 0


def log_refused(frame_id: str, error: InspectorError) -> None:
    """Report a frame that the brokers will never take."""
    _log.error("frame %s was refused: %s", frame_id, error)


class FramePublisher:
    """Publishes the frames of one producer, keyed by camera id, each acknowledged by all in-sync replicas.

    One background thread owns the connection. While Kafka is away, frames go to the spool; they are sent in order,
    before any newer frame, once it is back, or by the next start. A frame may be sent again, under the same id, if its
    acknowledgement was lost.

    Args:
        connection: the brokers.
        topic: the frames topic; it must exist.
        spool_dir: a folder of this producer's own.
        spool_max_bytes: bytes of images kept on disk; what was under way when Kafka went may come on top.
        max_record_bytes: largest image taken.
        window_bytes: bytes of images under way in memory.
        ack_timeout_s: Kafka counts as away when the oldest frame under way waits longer for its acknowledgement.
        full_wait_s: how long ``publish`` waits for room in a full spool; None: until there is room.
        on_ack: called with (frame_id, partition, offset) for every acknowledged frame, in the background thread.
        on_refused: called with (frame_id, error) for a frame that the brokers will never take.

    Raises:
        BadInputError: the spool's folder cannot be used.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        spool_dir: Path,
        spool_max_bytes: int,
        *,
        max_record_bytes: int = 8 * 1024 * 1024,
        window_bytes: int = 16 * 1024 * 1024,
        ack_timeout_s: float = 10.0,
        full_wait_s: float | None = None,
        on_ack: OnAck = lambda frame_id, partition, offset: None,
        on_refused: OnRefused = log_refused,
    ) -> None:
        self._max_record_bytes = max_record_bytes
        self._window_bytes = window_bytes
        self._full_wait_s = full_wait_s
        self._on_ack = on_ack
        self._on_refused = on_refused
        self._spool = Spool(spool_dir, spool_max_bytes)
        self._changed = threading.Condition()
        self._queued: deque[SpooledFrame] = deque()  # sent after the spool's
        self._queued_bytes = 0
        self._online = True  # until the first attempt says otherwise
        self._fatal: InspectorError | None = None
        self._disk_trouble: SpoolError | None = None
        self._closing = False
        self._events = 0  # new frames and acknowledgements, so that the background thread sleeps through none
        self._acked = self._held_up = self._refused = 0
        self._window = SendWindow(connection, topic, max_record_bytes, window_bytes, ack_timeout_s, self._wake)
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> PublisherCounts:
        """Return the counts as of now."""
        with self._changed:
            waiting = len(self._queued) + self._window.frames_from_memory
            spooled, spooled_bytes = len(self._spool), self._spool.used_bytes
            return PublisherCounts(self._acked, waiting, spooled, self._held_up, self._refused, spooled_bytes)

    def publish(self, image: bytes, meta: FrameMeta) -> None:
        """Take one encoded frame for publication; waits while there is no room for it.

        Raises:
            ServiceUnavailableError: Kafka is away and the spool, or its disk, has no room after ``full_wait_s``; not
                taken.
            CredentialsError: the brokers refuse us; not taken.
            SpoolError, PublisherStoppedError: the publisher ended, waiting does not help; not taken.
            BadInputError: the frame is too large, or there is no such topic; not taken.
        """
        if len(image) > self._max_record_bytes:
            self._count_refused()
            raise BadInputError(
                f"a frame of at most {self._max_record_bytes} bytes",
                f"{len(image)} bytes from {meta.camera_id}",
                "lower the camera's resolution or JPEG quality, or raise the topic's limit",
            )
        frame = SpooledFrame(meta.frame_id, meta.camera_id.encode(), encode_headers(meta), image)
        deadline_s = None if self._full_wait_s is None else time.monotonic() + self._full_wait_s
        with self._changed:
            first = True
            while not self._accept(frame):
                if first:
                    self._held_up, first = self._held_up + 1, False
                left_s = None if deadline_s is None else deadline_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    self._refused += 1
                    raise self._no_room()
                self._changed.wait(left_s)
            self._wake()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything taken is acknowledged; False if it is not within ``timeout_s``.

        Raises:
            CredentialsError: the brokers refuse us.
            BadInputError: there is no such topic.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._fatal is not None or self._done(), timeout_s)
            if self._fatal is not None:
                raise self._fatal
            return self._done()

    def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Send what can be sent within ``timeout_s``; the rest stays in the spool for the next start."""
        with self._changed:
            self._changed.wait_for(lambda: self._fatal is not None or self._done(), timeout_s)
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._spool.close()

    def _no_room(self) -> InspectorError:
        trouble = self._disk_trouble
        return ServiceUnavailableError(
            "room in the spool while Kafka is away" if trouble is None else trouble.expected,
            f"{self._spool.used_bytes} bytes waiting in it" if trouble is None else trouble.got,
            "bring Kafka back, or give the spool more room",
        )

    def _accept(self, frame: SpooledFrame) -> bool:
        if self._fatal is not None:
            raise self._fatal
        if self._closing:
            raise RuntimeError("the publisher is closed")
        # The order is spool, queue: while frames are queued, a new one may not go to disk before them.
        if self._online and (self._queued or not len(self._spool)):
            under_way = self._queued_bytes + self._window.used_bytes
            if under_way and under_way + frame.size_bytes > self._window_bytes:
                return False
            self._queue([frame])
            return True
        return self._move_queue_to_disk() and self._to_disk([frame])

    def _queue(self, frames: Sequence[SpooledFrame]) -> None:
        self._queued.extend(frames)
        self._queued_bytes += sum(frame.size_bytes for frame in frames)

    def _move_queue_to_disk(self) -> bool:
        """Tell whether nothing is queued any more; what the disk does not take stays in memory."""
        if self._queued:
            if not self._to_disk(list(self._queued), force=True):
                return False
            self._queued.clear()
            self._queued_bytes = 0
        return True

    def _to_disk(self, frames: Sequence[SpooledFrame], force: bool = False) -> bool:
        try:
            taken = self._spool.append(frames, force)
        except SpoolError as error:
            self._disk_trouble = error
            return False
        self._disk_trouble = None
        return taken

    def _done(self) -> bool:
        return not self._queued and not self._window.frames and len(self._spool) == 0

    def _count_refused(self) -> None:
        with self._changed:
            self._refused += 1

    def _wake(self) -> None:
        with self._changed:
            self._events += 1
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while not self._closing:
                if self._window.connected():
                    self._step()
                else:
                    self._try_to_connect()
        except Exception as error:
            _log.exception("the publisher stopped")
            stopped = PublisherStoppedError("a running publisher", repr(error), "start the producer again; see the log")
            self._stop_for(error if isinstance(error, InspectorError) else stopped)
        finally:
            self._go_offline()
            if self._queued:
                lost, why = len(self._queued), self._disk_trouble
                _log.error("%d frames are lost: neither Kafka nor the disk took them: %s", lost, why)

    def _step(self) -> None:
        seen = self._events
        trouble: InspectorError | None
        try:
            self._fill_window()
        except (ServiceUnavailableError, CredentialsError) as error:
            trouble = error
        else:
            self._book_ended()
            trouble = self._window.trouble()
        if isinstance(trouble, CredentialsError):
            self._stop_for(trouble)
        elif trouble is not None:
            _log.warning("Kafka is away, frames go to disk: %s", trouble)
        if trouble is not None:
            self._go_offline()
            return
        with self._changed:
            # The limit is for a silent broker's timeout.
            self._changed.wait_for(lambda: self._closing or self._events != seen, _IDLE_S)

    def _fill_window(self) -> None:
        while not self._window.full:
            spooled = self._spool.peek(self._window.last_position, 1) if len(self._spool) else []
            if spooled:
                self._window.send(spooled[0][1], position=spooled[0][0])
            elif self._queued:
                # It leaves the queue only when it is under way, so that nobody finds it in neither.
                self._window.send(self._queued[0], position=None)
                with self._changed:
                    self._queued_bytes -= self._queued.popleft().size_bytes
            else:
                return

    def _book_ended(self) -> None:
        for end in self._window.ended():
            # Told before it is forgotten: a kill in between repeats the frame, it does not lose the acknowledgement.
            if end.refused is None:
                self._on_ack(end.frame_id, end.partition, end.offset)
            else:
                self._on_refused(end.frame_id, end.refused)
            if end.position is not None:
                self._spool.remove(end.position)
            with self._changed:
                self._acked += end.refused is None
                self._refused += end.refused is not None
        with self._changed:
            self._changed.notify_all()

    def _go_offline(self) -> None:
        # Without the lock: closing waits for the client's thread, which takes the lock to tell of acknowledgements.
        self._window.disconnect()
        self._book_ended()
        with self._changed:
            self._online = False
            later = list(self._queued)
            self._queued.clear()
            self._queued_bytes = 0
            self._queue([*self._window.take_back(), *later])
            if not self._move_queue_to_disk():
                _log.warning("%d frames wait in memory: %s", len(self._queued), self._disk_trouble)
            self._changed.notify_all()

    def _try_to_connect(self) -> None:
        with self._changed:
            wait_s = None if self._fatal is not None else self._window.wait_before_connecting_s()
            self._changed.wait_for(lambda: self._closing, wait_s)
            if self._closing:
                return
        try:
            self._window.connect()
        except ServiceUnavailableError as error:
            if self._online:
                _log.warning("Kafka is away, frames go to disk: %s", error)
            self._go_offline()
        except (CredentialsError, BadInputError) as error:
            self._stop_for(error)
            self._go_offline()
        else:
            with self._changed:
                self._online = True
                self._changed.notify_all()
            _log.info("publishing; %d frames wait in the spool", len(self._spool))

    def _stop_for(self, error: InspectorError) -> None:
        with self._changed:
            self._fatal = error
            self._changed.notify_all()
