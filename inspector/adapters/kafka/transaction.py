"""One transaction: records and offsets, visible together or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kafka import errors
from kafka.structs import OffsetAndMetadata, TopicPartition

from inspector.pipeline.milestones import Milestone, OnMilestone, nobody_listens
from inspector.pipeline.ports import NO_NOTES, OutRecord

# INVALID_PRODUCER_EPOCH is what a fenced producer gets from a partition's leader, PRODUCER_FENCED from a coordinator.
_FENCED = (errors.ProducerFencedError, errors.InvalidProducerEpochError)


def commit_transaction(
    producer: Any,
    group_metadata: Any,
    next_offsets: Mapping[tuple[str, int], int],
    records: Sequence[OutRecord],
    flush_timeout_s: float,
    on_milestone: OnMilestone = nobody_listens,
    notes: Mapping[tuple[str, int], str] = NO_NOTES,
) -> None:
    """Begin, send, check every record, send the offsets if there are any, commit.

    Any error leaves the producer unusable.

    Every future is checked because a record that timed out fails only its own future: the commit would succeed without
    it.

    Raises:
        KafkaError: at any step.
    """
    producer.begin_transaction()
    sent = [
        producer.send(record.topic, value=record.value, key=record.key, headers=list(record.headers))
        for record in records
    ]
    if sent:
        producer.flush(flush_timeout_s)
    for future in sent:
        future.get(timeout=0)
    on_milestone(Milestone.SENT)
    offsets = {
        TopicPartition(topic, partition): OffsetAndMetadata(offset, notes.get((topic, partition), ""), -1)
        for (topic, partition), offset in next_offsets.items()
    }
    if offsets:
        producer.send_offsets_to_transaction(offsets, group_metadata)
    on_milestone(Milestone.OFFSETS_SENT)
    producer.commit_transaction()
    on_milestone(Milestone.COMMITTED)


def is_fenced(error: BaseException) -> bool:
    """Tell whether a newer producer of our transactional id is why this failed."""
    return any(isinstance(cause, _FENCED) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    # kafka-python hands the reason on as an argument of the error that it raises, or as its cause.
    while error is not None:
        yield error
        yield from (argument for argument in error.args if isinstance(argument, BaseException))
        error = error.__cause__
