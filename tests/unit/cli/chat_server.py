"""A real HTTP server that stands in for a model's."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def completion(text: object) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


@dataclass
class Chat:
    """What the server answers (``status``, ``body``, ``headers``, or whatever ``write`` does) and what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = completion("A scratch.")
    headers: dict[str, str] = field(default_factory=dict)
    write: Callable[[BaseHTTPRequestHandler], None] | None = None
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Chat]:
    chat = Chat()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            chat.asked.append((self.path, dict(self.headers), json.loads(content)))
            if chat.write is not None:
                chat.write(self)
                return
            self.send_response(chat.status)
            for name, value in {**chat.headers, "Content-Length": str(len(chat.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(chat.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on stderr."""

        def handle(self) -> None:
            try:
                super().handle()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client had enough, as tests ask it to

        def finish(self) -> None:
            try:
                super().finish()
            except (BrokenPipeError, ConnectionResetError, ValueError):
                self.close_connection = True  # as above

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    chat.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield chat
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
