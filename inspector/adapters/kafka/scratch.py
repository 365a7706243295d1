"""Topics and a consumer group for the length of one measurement."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from kafka import errors

from inspector.adapters.kafka.connection import KafkaConnection, admin_client, translated_errors
from inspector.adapters.kafka.topics import TopicPlan, create_topics

_log = logging.getLogger(__name__)

_DELETED = ("OK", errors.GroupIdNotFoundError.__name__)


@contextmanager
def scratch_topics(connection: KafkaConnection, plan: TopicPlan, groups: Collection[str]) -> Iterator[None]:
    """Create the topics of ``plan``, which must be new names; delete them and ``groups`` afterwards.

    What cannot be deleted is logged: by then there is an error of the block's own to tell, or a result.

    Raises:
        ServiceUnavailableError: the brokers cannot be reached.
        CredentialsError: they refuse us.
    """
    try:
        create_topics(connection, plan)
        yield
    finally:
        try:
            with translated_errors(connection), admin_client(connection) as admin:
                admin.delete_topics([spec.name for spec in plan.specs()], raise_errors=False)
                left = admin.delete_groups(list(groups))
        except Exception as error:  # must not replace the block's own error
            _log.warning("scratch topics were not deleted: %s", error)
        else:
            for group, answer in left.items():
                if answer not in _DELETED:
                    _log.warning("scratch group %s was not deleted: %s", group, answer)
