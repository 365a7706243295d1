"""Places of samples that are away, full, slow or hostile: told in words, in time, and nothing half-written stays."""

from __future__ import annotations

import http.server
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from s3_servers import S3Server
from sample_kit import LIMITS, sample

from inspector.adapters.samples.objects import Objects, S3Access, in_folder, in_s3
from inspector.adapters.samples.store import ObjectSampleStore
from inspector.domain.errors import BadInputError, CredentialsError, InspectorError, ServiceUnavailableError

SECRET = "a-secret-of-the-tests"


def at(endpoint: str, timeout_s: float = 2.0, bucket: str = "samples") -> Objects:
    return in_s3(f"s3://{bucket}/p", S3Access(endpoint, "us-east-1", "key", SECRET, timeout_s=timeout_s))


@contextmanager
def answering(status: int, body: bytes = b"") -> Iterator[str]:
    """An S3 server that answers everything alike."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_DELETE = do_HEAD = _answer

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def error(code: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'.encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (403, error("AccessDenied"), CredentialsError, "access_key_id"),
        (401, error("InvalidAccessKeyId"), CredentialsError, "access_key_id"),
        (404, error("NoSuchBucket"), BadInputError, "create the bucket"),
        (507, error("InsufficientStorage"), ServiceUnavailableError, "make room"),
        (503, error("SlowDown"), ServiceUnavailableError, "check that it is there"),
        (500, b"<html>" + b"\x1b[31m" * 1000, ServiceUnavailableError, "check that it is there"),
    ],
)
def test_what_an_s3_server_refuses_is_told_in_words(
    status: int, body: bytes, kind: type[InspectorError], words: str
) -> None:
    with answering(status, body) as endpoint:
        for act in (lambda: at(endpoint).put("a/b", b"x"), lambda: list(at(endpoint).list())):
            with pytest.raises(kind) as caught:
                act()
            assert words in caught.value.do
            assert SECRET not in str(caught.value)
            assert len(caught.value.got) < 1000


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>a captive portal</html>"])
def test_whoever_answers_yes_to_everything_is_no_store(body: bytes) -> None:
    with answering(200, body) as endpoint:
        store = ObjectSampleStore(at(endpoint), LIMITS, 10**6)
        with pytest.raises(ServiceUnavailableError):
            store.put(sample("f1", b"image"), b"image")


def test_a_server_that_is_away_or_never_answers_is_told_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(ServiceUnavailableError):
        at("http://127.0.0.1:9", timeout_s=1.0).put("a/b", b"x")
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ServiceUnavailableError):
        at(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=1.0).put("a/b", b"x")
    assert time.monotonic() - began < 60


def test_a_key_that_can_be_no_path_is_told_with_its_name(s3: S3Server) -> None:
    bucket = s3.bucket()
    s3.client().put_object(Bucket=bucket, Key="p/../../etc/passwd", Body=b"x")
    with pytest.raises(BadInputError, match="etc/passwd") as caught:
        list(at(s3.endpoint, bucket=bucket).list())
    assert "prefix of their own" in caught.value.do


@pytest.mark.parametrize(
    "place", ["s3://", "s3:///x", "s3://user:secret@bucket", "s3://bucket?x=secret", "ftp://secret"]
)
def test_an_address_that_cannot_be_used_is_not_shown(place: str) -> None:
    with pytest.raises(BadInputError) as caught:
        in_s3(place, S3Access())
    assert "secret" not in str(caught.value)


def test_a_disk_without_room_keeps_what_was_kept_and_nothing_of_the_rest(tmp_path: Path) -> None:
    store = ObjectSampleStore(in_folder(tmp_path / "samples"), LIMITS, 10**6)
    kept, large = sample("kept", b"small"), sample("large", b"x" * 500_000)
    store.put(kept, b"small")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(ServiceUnavailableError):
            store.put(large, b"x" * 500_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(store.samples()) == [kept]
    assert sum(path.is_file() for path in (tmp_path / "samples").rglob("*")) == 2
    assert store.put(large, b"x" * 500_000)


WRITER = """
    import sys
    sys.path[:0] = sys.argv[2:]
    from pathlib import Path
    from dataclasses import replace
    from sample_kit import LIMITS, sample
    from inspector.adapters.samples.objects import in_folder
    from inspector.adapters.samples.store import ObjectSampleStore

    store = ObjectSampleStore(in_folder(Path(sys.argv[1])), replace(LIMITS, normals_per_camera=8), 10**7)
    for round in range(10**6):
        for number in range(20):
            image = b"%d/%d " % (round, number) * 20_000
            store.put(sample(f"f{number}", image), image, {"result.json": b"%d" % round})
            if (round, number) == (0, 5):
                print("ready", flush=True)
"""


def test_a_killed_gatherer_leaves_whole_samples_and_nothing_for_good(tmp_path: Path) -> None:
    place = tmp_path / "samples"
    kit = str(Path(__file__).resolve().parent.parent)
    for life in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(place), kit], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(0.05 + 0.17 * life)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        store = ObjectSampleStore(in_folder(place), LIMITS, 10**7)
        assert not list(store.damage())
        samples = list(store.samples())
        assert samples
        for kept in samples:
            assert store.image(kept).startswith(b"%d/" % int(store.part(kept, "result.json") or b"-1"))
    # What was half-written: as if an hour had passed.
    half = place / ("a" * 16) / ("b" * 32) / f"{'c' * 64}#1"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    old = time.time() - 7200
    for path in place.rglob("*"):
        if path.is_file():
            os.utime(path, (old, old))
    store = ObjectSampleStore(in_folder(place), LIMITS, 10**7)
    store.sweep()
    named = sum(2 + len(kept.parts) for kept in store.samples())
    assert sum(path.is_file() for path in place.rglob("*")) == named
