"""Builds kafka-python clients without leaks, and says why one could not be built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient

from inspector.adapters.kafka.last_words import close_failed_connects, close_failed_handshakes, hear_last_words

hear_last_words()
close_failed_handshakes()
close_failed_connects()

_REFUSED = (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)
_TIMEOUTS = (errors.KafkaTimeoutError, errors.RequestTimedOutError)


def build(client_class: Callable[..., Any], **options: Any) -> Any:
    """Return ``client_class(**options)``.

    A client connects while it is made. Where that fails, kafka-python leaves the network thread and its sockets
    behind: one more with every attempt while the brokers are away. Here they are closed. And it says only that it
    could not connect in time, whatever the reason: here the last one met is raised. A refused password is raised at
    once: it would be refused again.
    """
    networks: list[Any] = []
    failures: list[Exception] = []

    def network(**settings: Any) -> Any:
        networks.append(KafkaNetClient(**settings))
        _note_failures(networks[-1], failures)
        return networks[-1]

    try:
        return client_class(kafka_client=network, **options)
    except BaseException as error:
        for opened in networks:
            opened.close()
        if isinstance(error, errors.KafkaTimeoutError) and failures:
            raise failures[-1] from error
        raise


def _note_failures(network: Any, failures: list[Exception]) -> None:
    """Keep why connections failed; there is no public way to ask for it.

    The attempt that runs into the end of the time given says only that, so it does not count.
    """
    manager = network._manager
    connect = manager.get_connection

    def noting(node_id: Any, *arguments: Any, **options: Any) -> Any:
        connection = connect(node_id, *arguments, **options)

        def note(failure: Exception) -> None:
            if not isinstance(failure, _TIMEOUTS):
                failures[:] = [failure]
            if isinstance(failure, _REFUSED) and manager.cluster.is_bootstrap(node_id):
                # What the client itself does with some refusals, so that the next attempt raises instead of knocking.
                manager._auth_failures[node_id] = failure

        connection.init_future.add_errback(note)
        return connection

    manager.get_connection = noting
