"""Lets kafka-python 3.0.12 hear what a broker said just before it closed the connection.

A broker that refuses a password says so and hangs up. The client reads both at once, throws the words away with the
connection and knows of a broken one only; a person would look for a network that is down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka.net import transport

Receive = Callable[[Any], tuple[bytes, BaseException | None]]


def hear_last_words() -> None:
    """Have every connection hand out the bytes it received before it tells of its end, which it then meets again."""
    for kind in (transport.KafkaTCPTransport, transport.KafkaSSLTransport):
        if "_sock_recv" in vars(kind):
            kind._sock_recv = _bytes_first(kind._sock_recv)


def _bytes_first(receive: Receive) -> Receive:
    def received(connection: Any) -> tuple[bytes, BaseException | None]:
        data, error = receive(connection)
        return (data, None) if data else (data, error)

    return received
