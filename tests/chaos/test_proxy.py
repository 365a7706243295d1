"""The proxy does to a link what it says, or the rows of the slow link would prove nothing."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from proxy import END_TXN, HOST, Proxy

FETCH = 1
_SLOW_S = 2.0  # a healthy link takes a thousandth of it


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back whatever it gets; yields its port."""
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection:
                while data := connection.recv(65536):
                    connection.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def request(api_key: int, size: int = 100) -> bytes:
    body = struct.pack(">hhi", api_key, 0, 1) + bytes(size)
    return struct.pack(">i", len(body)) + body


def seconds(connection: socket.socket, data: bytes) -> float:
    """Send and read the echo, whole and unchanged."""
    started_s = time.monotonic()
    connection.sendall(data)
    got = b""
    while len(got) < len(data):
        got += connection.recv(65536)
    assert got == data
    return time.monotonic() - started_s


def test_a_link_is_fast_then_slow_then_stalled_for_one_kind_of_request_and_fast_again(echo: int) -> None:
    proxy = Proxy([echo])
    with socket.create_connection((HOST, proxy.ports[0])) as connection:
        assert seconds(connection, request(FETCH)) < _SLOW_S
        proxy.link.delay_s = _SLOW_S / 2
        assert seconds(connection, request(FETCH)) >= _SLOW_S
        proxy.link.be_healthy()
        proxy.link.bytes_per_s = 50_000
        before = proxy.link.carried_bytes
        assert seconds(connection, request(FETCH, round(50_000 * _SLOW_S))) >= _SLOW_S
        assert proxy.link.carried_bytes - before >= 50_000 * _SLOW_S
        proxy.link.be_healthy()
        proxy.link.stalled_api, proxy.link.stall_s = END_TXN, _SLOW_S
        assert seconds(connection, request(FETCH)) < _SLOW_S
        assert proxy.link.stalls == 0
        assert seconds(connection, request(END_TXN)) >= _SLOW_S
        assert proxy.link.stalls == 1
        proxy.link.be_healthy()
        assert seconds(connection, request(END_TXN)) < _SLOW_S
    proxy.close()


def test_a_server_that_is_down_is_a_closed_connection(echo: int) -> None:
    with socket.create_server((HOST, 0)) as gone:
        port = gone.getsockname()[1]
    proxy = Proxy([port])
    with socket.create_connection((HOST, proxy.ports[0]), timeout=5) as connection:
        assert connection.recv(1) == b""
    proxy.close()


def test_what_a_client_sent_arrives_late_though_the_client_is_gone() -> None:
    with socket.create_server((HOST, 0)) as server:
        proxy = Proxy([server.getsockname()[1]])
        proxy.link.stalled_api, proxy.link.stall_s = END_TXN, 0.5
        with socket.create_connection((HOST, proxy.ports[0])) as client:
            client.sendall(request(END_TXN))
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            assert connection.recv(65536) == request(END_TXN)
    proxy.close()


def test_a_cut_ends_what_is_connected_and_takes_nobody_until_it_is_mended(echo: int) -> None:
    proxy = Proxy([echo])
    with socket.create_connection((HOST, proxy.ports[0]), timeout=5) as connection:
        assert seconds(connection, request(FETCH)) < 5
        proxy.cut()
        assert connection.recv(1) == b""
    with socket.create_connection((HOST, proxy.ports[0]), timeout=5) as connection:
        assert connection.recv(1) == b""
    proxy.mend()
    with socket.create_connection((HOST, proxy.ports[0]), timeout=5) as connection:
        assert seconds(connection, request(FETCH)) < 5
    proxy.close()
