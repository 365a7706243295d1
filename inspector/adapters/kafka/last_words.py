"""Three remedies for connections of kafka-python 3.0.12 that come to nothing: what was said last, what is left open.

A broker that refuses a password says so and hangs up. The client reads both at once, throws the words away with the
connection and knows of a broken one only; a person would look for a network that is down. And a connection that is
refused or not answered in time, and a TLS handshake that fails, as with an expired certificate, leave their socket
open: one more with every attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kafka.net import inet, transport

Receive = Callable[[Any], tuple[bytes, BaseException | None]]
Connect = Callable[..., Awaitable[Any]]


def hear_last_words() -> None:
    """Have every connection hand out the bytes it received before it tells of its end, which it then meets again."""
    for kind in (transport.KafkaTCPTransport, transport.KafkaSSLTransport):
        if "_sock_recv" in vars(kind):
            kind._sock_recv = _bytes_first(kind._sock_recv)


def close_failed_handshakes() -> None:
    """Have a connection whose TLS handshake fails close its socket."""
    transport.KafkaSSLTransport.handshake = _or_closed(transport.KafkaSSLTransport.handshake)


def close_failed_connects() -> None:
    """Have an attempt to connect that fails close its socket."""
    inet.KafkaNetSocket.sock_connect = _connected_or_closed(inet.KafkaNetSocket.sock_connect)


def _connected_or_closed(connect: Connect) -> Connect:
    async def sock_connect(factory: Any, net: Any, sock: Any, sockaddr: Any, timeout_at: float | None = None) -> Any:
        try:
            return await connect(factory, net, sock, sockaddr, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise

    return sock_connect


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
