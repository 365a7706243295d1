"""The feedback topic: what people said of frames, appended one by one and read from its beginning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.kafka.small_records import BadRecord, log_bad_record, publish
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback
from inspector.domain.records import from_json, to_json
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.ports import LogRecord

# A note and a hundred boxes are a few kilobytes; masks themselves live in the store.
MAX_RECORD_BYTES = 64 * 1024
# What clocks of a plant that keeps time differ by at most, generously.
CLOCK_SKEW = timedelta(minutes=1)


def publish_feedback(connection: KafkaConnection, topic: str, feedback: Feedback) -> None:
    """Append one piece of feedback and wait until the brokers have it; saying it again changes nothing.

    Raises as ``small_records.publish``.
    """
    publish(connection, topic, feedback.frame_id, to_json(feedback), max_record_bytes=MAX_RECORD_BYTES)


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
