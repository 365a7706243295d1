"""Writes what was missing, in transactions of an identity of its own: records without offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafka import errors

from inspector.adapters.kafka import clients, transaction
from inspector.adapters.kafka.connection import KafkaConnection, translate, translated_errors
from inspector.adapters.kafka.watchdog import Watchdog
from inspector.pipeline.ports import FencedError, OutRecord

_TRANSACTION_TIMEOUT_MS = 10_000
_DELIVERY_TIMEOUT_MS = 8_000
_COMMIT_LIMIT_S = 15.0
_CLOSE_TIMEOUT_S = 3.0


class RepairLog:
    """A transactional producer that fences every earlier one of the same group, also one that hangs somewhere.

    Make it before the topics are read: what an earlier one has committed is then there to be read, and what it has not
    will never be. So two repairs at once, or one that was killed, cannot send an alert twice.

    Raises:
        ServiceUnavailableError: the brokers cannot be reached.
        CredentialsError: they refuse us.
    """

    def __init__(self, connection: KafkaConnection, *, group_id: str, max_record_bytes: int) -> None:
        # Inspectors are GROUP-REPLICA, and no replica's name holds a colon: none meets this one.
        self.transactional_id = f"{group_id}-:reconcile"
        self._connection = connection
        with translated_errors(connection):
            self._producer: Any = clients.transactional_producer(
                connection,
                transactional_id=self.transactional_id,
                max_record_bytes=max_record_bytes,
                transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS,
                delivery_timeout_ms=_DELIVERY_TIMEOUT_MS,
            )
            try:
                self._producer.init_transactions()
            except BaseException:
                clients.close_producer(self._producer, _CLOSE_TIMEOUT_S)
                raise
        self._watchdog = Watchdog()

    def publish(self, records: Sequence[OutRecord]) -> None:
        """Publish all records in one transaction. After any error, close this and start over.

        Raises:
            FencedError: another repair runs.
            ServiceUnavailableError: nothing of it is visible, or its fate is unknown.
            CredentialsError: we may not write there.
            BadInputError: a record is larger than its topic takes.
        """
        if not records:
            return
        try:
            with self._watchdog.guard("a transaction", _COMMIT_LIMIT_S):
                transaction.commit_transaction(self._producer, None, {}, records, _TRANSACTION_TIMEOUT_MS / 1000)
        except errors.KafkaError as error:
            if transaction.is_fenced(error):
                raise FencedError("another `inspector reconcile --repair` of this group was started") from error
            raise translate(error, self._connection) from error

    def close(self) -> None:
        """Close; never raises."""
        clients.close_producer(self._producer, _CLOSE_TIMEOUT_S)
        self._watchdog.close()
