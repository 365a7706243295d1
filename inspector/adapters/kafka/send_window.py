"""Frames on their way to Kafka: sent in order, ended in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kafka import errors
from kafka.future import Future

from inspector.adapters.kafka import clients
from inspector.adapters.kafka.connection import KafkaConnection, translate, translated_errors
from inspector.adapters.kafka.reconnect import Reconnect
from inspector.adapters.kafka.spool import SpooledFrame
from inspector.domain.errors import InspectorError

OnAck = Callable[[str, int, int], None]

_MAX_BLOCK_MS = 5_000
_CLOSE_TIMEOUT_S = 1.0
# The client must never give up a frame by itself: it would go on with the next one, and the order would be lost. The
# window gives up for all of them together.
_NEVER_MS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one frame; ``position`` is its place in the spool, None if it came from memory."""

    frame_id: str
    position: int | None
    partition: int = -1
    offset: int = -1
    refused: InspectorError | None = None


@dataclass(frozen=True, slots=True)
class _Sent:
    frame: SpooledFrame
    position: int | None
    future: Any


class SendWindow:
    """The connection and what is under way on it. One thread sends and asks; others may read the sizes."""

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        max_record_bytes: int,
        max_bytes: int,
        ack_timeout_s: float,
        on_change: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._max_record_bytes = max_record_bytes
        self._max_bytes = max_bytes
        self._ack_timeout_s = ack_timeout_s
        self._on_change = on_change
        self._producer: Any = None
        self._sent: deque[_Sent] = deque()
        self._reconnect = Reconnect()
        self._progress_at_s = 0.0
        self.used_bytes = 0
        self.last_position = 0

    @property
    def frames(self) -> int:
        """How many frames are under way."""
        return len(self._sent)

    @property
    def frames_from_memory(self) -> int:
        """How many of them are not in the spool."""
        return sum(sent.position is None for sent in tuple(self._sent))

    @property
    def full(self) -> bool:
        """Whether no more may be sent now."""
        return self.used_bytes >= self._max_bytes

    def connected(self) -> bool:
        """Tell whether frames can be sent."""
        return self._producer is not None

    def wait_before_connecting_s(self) -> float:
        """Return how long to wait before the next ``connect``."""
        return self._reconnect.wait_s()

    def connect(self) -> None:
        """Connect and check that the topic is there.

        Raises:
            ServiceUnavailableError: no broker answers.
            CredentialsError: the brokers refuse us.
            BadInputError: there is no such topic.
        """
        self._reconnect.attempted()
        with translated_errors(self._connection, self._topic):
            producer = clients.idempotent_producer(
                self._connection,
                max_record_bytes=self._max_record_bytes,
                delivery_timeout_ms=_NEVER_MS,
                max_block_ms=_MAX_BLOCK_MS,
            )
            try:
                clients.require_writable(producer, self._topic, self._connection)
            except BaseException:
                clients.close_producer(producer, _CLOSE_TIMEOUT_S)
                raise
        self._producer = producer

    def send(self, frame: SpooledFrame, position: int | None) -> None:
        """Send one frame; its end is told by ``ended``.

        Raises:
            ServiceUnavailableError: nothing can be sent any more.
            CredentialsError: the brokers refuse us.
        """
        with translated_errors(self._connection, self._topic):
            try:
                future = self._producer.send(self._topic, key=frame.key, value=frame.value, headers=list(frame.headers))
            except errors.MessageSizeTooLargeError as error:
                future = Future().failure(error)
        if not self._sent:
            self._progress_at_s = time.monotonic()
        self._sent.append(_Sent(frame, position, future))
        self.used_bytes += frame.size_bytes
        self.last_position = self.last_position if position is None else position
        future.add_both(lambda *_: self._on_change())

    def ended(self) -> Iterator[Ended]:
        """Yield the frames that came to their end, oldest first; each counts as under way until the next is asked."""
        while self._sent and self._sent[0].future.is_done:
            head = self._sent[0]
            if head.future.failed() and not _refused(head.future.exception):
                return
            self._reconnect.succeeded()
            yield self._end_of(head)
            self._sent.popleft()
            self.used_bytes -= head.frame.size_bytes
            self._progress_at_s = time.monotonic()

    def trouble(self) -> InspectorError | None:
        """Return why the frames under way will not come to their end on this connection, if so."""
        if not self._sent:
            return None
        head = self._sent[0].future
        if head.is_done and head.failed() and not _refused(head.exception):
            return translate(head.exception, self._connection, self._topic)
        if time.monotonic() - self._progress_at_s > self._ack_timeout_s:
            return translate(
                errors.KafkaTimeoutError(f"no acknowledgement within {self._ack_timeout_s:.0f} s"), self._connection
            )
        return None

    def disconnect(self) -> None:
        """Close the connection; what is under way stays to be told by ``ended`` or taken back."""
        producer, self._producer = self._producer, None
        if producer is not None:
            clients.close_producer(producer, _CLOSE_TIMEOUT_S)

    def take_back(self) -> list[SpooledFrame]:
        """Empty the window; return the frames that were under way and are not in the spool, oldest first."""
        left = [sent.frame for sent in self._sent if sent.position is None]
        self._sent.clear()
        self.used_bytes = 0
        self.last_position = 0
        return left

    def _end_of(self, sent: _Sent) -> Ended:
        if sent.future.failed():
            error = translate(sent.future.exception, self._connection)
            return Ended(sent.frame.frame_id, sent.position, refused=error)
        return Ended(sent.frame.frame_id, sent.position, sent.future.value.partition, sent.future.value.offset)


def _refused(error: BaseException) -> bool:
    """Tell whether the brokers will never take the frame, however often it is sent."""
    return isinstance(error, (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError))
