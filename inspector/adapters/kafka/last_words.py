"""Two remedies for connections of kafka-python 3.0.12 that come to nothing: what was said last, and what is left open.

A broker that refuses a password says so and hangs up. The client reads both at once, throws the words away with the
connection and knows of a broken one only; a person would look for a network that is down. And a TLS handshake that
fails, as with an expired certificate, leaves its socket open: one more with every attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kafka.net import transport

Receive = Callable[[Any], tuple[bytes, BaseException | None]]


def hear_last_words() -> None:
    """Have every connection hand out the bytes it received before it tells of its end, which it then meets again."""
    for kind in (transport.KafkaTCPTransport, transport.KafkaSSLTransport):
        if "_sock_recv" in vars(kind):
            kind._sock_recv = _bytes_first(kind._sock_recv)


def close_failed_handshakes() -> None:
    """Have a connection whose TLS handshake fails close its socket."""
    transport.KafkaSSLTransport.handshake = _or_closed(transport.KafkaSSLTransport.handshake)


def _or_closed(shake: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def handshake(connection: Any) -> None:
        try:
            await shake(connection)
        except BaseException:
            connection._sock.close()
            raise

    return handshake


def _bytes_first(receive: Receive) -> Receive:
    def received(connection: Any) -> tuple[bytes, BaseException | None]:
        data, error = receive(connection)
        return (data, None) if data else (data, error)

    return received
