"""Builds kafka-python clients without leaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka.net.compat import KafkaNetClient


def build(client_class: Callable[..., Any], **options: Any) -> Any:
    """Return ``client_class(**options)``.

    A client connects while it is made. Where that fails, kafka-python leaves the network thread and its sockets
    behind: one more with every attempt while the brokers are away. Here they are closed.
    """
    networks: list[Any] = []

    def network(**settings: Any) -> Any:
        networks.append(KafkaNetClient(**settings))
        return networks[-1]

    try:
        return client_class(kafka_client=network, **options)
    except BaseException:
        for opened in networks:
            opened.close()
        raise
