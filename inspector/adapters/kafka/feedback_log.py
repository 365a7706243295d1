"""The feedback topic: what people said of frames, appended one by one and read from its beginning."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from inspector.adapters.kafka import clients
from inspector.adapters.kafka.connection import KafkaConnection, translated_errors
from inspector.adapters.kafka.readers import read_committed
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback
from inspector.domain.records import from_json, to_json
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.ports import LogRecord

_log = logging.getLogger(__name__)

# A note and a hundred boxes are a few kilobytes; masks themselves live in the store.
MAX_RECORD_BYTES = 64 * 1024
_ACK_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 2.0
# What clocks of a plant that keeps time differ by at most, generously.
CLOCK_SKEW = timedelta(minutes=1)

BadRecord = Callable[[LogRecord, BadInputError], None]


def log_bad_record(record: LogRecord, error: BadInputError) -> None:
    """Report a record of the feedback topic that is no feedback."""
    _log.warning("skipped %s on the feedback topic: %s", record.source, error)


def publish_feedback(connection: KafkaConnection, topic: str, feedback: Feedback) -> None:
    """Append one piece of feedback and wait until the brokers have it; saying it again changes nothing.

    Raises:
        ServiceUnavailableError: they did not confirm it within 10 s; it may be there nevertheless.
        CredentialsError: they refuse us.
        BadInputError: there is no such topic.
    """
    with translated_errors(connection, topic):
        producer = clients.idempotent_producer(
            connection,
            max_record_bytes=MAX_RECORD_BYTES,
            delivery_timeout_ms=int(_ACK_TIMEOUT_S * 1000),
            max_block_ms=int(_ACK_TIMEOUT_S * 1000),
        )
        try:
            clients.require_writable(producer, topic, connection)
            sent = producer.send(topic, key=feedback.frame_id.encode(), value=to_json(feedback))
            sent.get(timeout=_ACK_TIMEOUT_S)
        finally:
            clients.close_producer(producer, _CLOSE_TIMEOUT_S)


def read_feedback(
    connection: KafkaConnection, topic: str, on_bad_record: BadRecord = log_bad_record
) -> Iterator[Feedback]:
    """Yield all feedback from the topic's beginning to its present end.

    A record that is none is handed to ``on_bad_record`` and left out: others may write to the topic. A word that claims
    to be given later than the brokers received it was given when they did: a clock that is ahead must not make its
    word the last one for ever.

    Raises:
        ServiceUnavailableError: the brokers cannot be reached, or a record cannot be read.
        CredentialsError: they refuse us.
        BadInputError: there is no such topic.
    """
    for record in read_committed(connection, topic, max_value_bytes=MAX_RECORD_BYTES):
        try:
            feedback = decode_feedback(record)
        except BadInputError as error:
            on_bad_record(record, error)
        else:
            yield feedback


def read_book(connection: KafkaConnection, topic: str, on_bad_record: BadRecord = log_bad_record) -> FeedbackBook:
    """Return the book of everything said so far. Raises as ``read_feedback``."""
    book = FeedbackBook()
    for feedback in read_feedback(connection, topic, on_bad_record):
        book.add(feedback)
    return book


def decode_feedback(record: LogRecord) -> Feedback:
    """Return the feedback in a record, with a moment that is not later than the brokers' own (plus ``CLOCK_SKEW``).

    Raises:
        BadInputError: there is none, it is of another schema, or its key is not its frame.
    """
    feedback = from_json(Feedback, record.value or b"")
    if record.key != feedback.frame_id.encode():
        raise BadInputError(f"key {feedback.frame_id}", repr(record.key), "correct what wrote the record")
    received_at = datetime.fromtimestamp(max(0, record.timestamp_ms) / 1000, UTC)
    return feedback if feedback.given_at <= received_at + CLOCK_SKEW else replace(feedback, given_at=received_at)
