"""Objects in a folder, in S3-compatible storage or in memory: one API, and its errors in a person's words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, MemoryStore, S3Store

from inspector.adapters.tls_files import check_tls_files
from inspector.domain.errors import BadInputError, CredentialsError, InspectorError, ServiceUnavailableError
from inspector.domain.text import shortened

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

_FULL = ("No space left", "quota", "Quota", "InsufficientStorage", "StorageFull", "507 ")
_CONNECT_TIMEOUT_S = 5.0
_RETRIES = 2
_REFUSED = (PermissionDeniedError, UnauthenticatedError, PermissionError)
_REFUSED_TEXT = ("status code: 401", "status code: 403")  # of a listing, which has no error of its own kind
_NO_BUCKET = "NoSuchBucket"
_NO_PATH = "object with invalid path"
_S3 = "s3://"


@dataclass(frozen=True, slots=True)
class S3Access:
    """How to reach S3-compatible storage and who we are there.

    Without ``endpoint`` it is Amazon's of the ``region``; without a key, what Amazon's own clients would use (role of
    the pod or machine). ``ca_file`` (PEM) is trusted beside the system's authorities.

    Raises:
        BadInputError: the file cannot be used, or there is a key without its secret.
    """

    endpoint: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if self.ca_file is not None:
            check_tls_files("samples", str(self.ca_file), None, None)
        if (self.access_key_id is None) is not (self.secret_access_key is None):
            raise BadInputError(
                "samples.access_key_id and its secret", "one of the two", "set both, or none to use the machine's role"
            )


@dataclass(frozen=True, slots=True)
class FoundObject:
    """One object as listed; ``mark`` changes when its content does."""

    name: str
    size_bytes: int
    modified_at: datetime
    mark: str


class Objects:
    """Named bytes below one place. An object appears whole or not at all, whoever writes it at the same time.

    Every method raises ``ServiceUnavailableError`` while the place is away or full, ``CredentialsError`` where it
    refuses us and ``BadInputError`` where there is no such bucket.
    """

    def __init__(self, store: LocalStore | MemoryStore | S3Store, where: str, folder: Path | None = None) -> None:
        self.where = where
        self._store = store
        self._folder = folder

    def put(self, name: str, data: bytes) -> None:
        """Write or replace an object."""
        with self._translated():
            # In one request: what is uploaded in pieces and not finished would stay, unseen, in the bucket.
            self._store.put(name, data, use_multipart=False)

    def get(self, name: str, max_bytes: int) -> bytes | None:
        """Return an object, None where there is none.

        Raises:
            BadInputError: it is larger than ``max_bytes``; it is not read.
        """
        with self._translated():
            try:
                found = self._store.get(name)
            except FileNotFoundError:
                return None
            size_bytes = found.meta["size"]
            if size_bytes > max_bytes:
                raise BadInputError(f"at most {max_bytes} bytes in {self.where}/{name}", f"{size_bytes}", "delete it")
            return bytes(found.bytes())

    def delete(self, name: str) -> None:
        """Delete an object; nothing happens where there is none."""
        with self._translated(), suppress(FileNotFoundError):
            self._store.delete(name)

    def list(self, folder: str | None = None) -> Iterator[FoundObject]:
        """Yield all objects, or those of a folder, in no order."""
        with self._translated():
            for chunk in self._store.list(folder):
                for meta in chunk:
                    mark = f"{meta['e_tag']}/{meta['size']}/{meta['last_modified'].isoformat()}"
                    yield FoundObject(meta["path"], meta["size"], meta["last_modified"], mark)

    def sweep(self, older_than_s: float) -> int:
        """Delete what killed writers left half-written; return how many. Storage over the network keeps none of it."""
        if self._folder is None:
            return 0
        swept = 0
        for path in self._folder.glob("*/*/*#*"):  # how obstore calls a file before it has its name
            with suppress(OSError):
                if path.is_file() and time.time() - path.stat().st_mtime > older_than_s:
                    path.unlink()
                    swept += 1
        return swept

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise _problem(error, self.where) from error


def in_folder(folder: Path) -> Objects:
    """Return the objects of a folder, which is made if it is not there.

    Raises:
        ServiceUnavailableError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Objects(LocalStore(folder.absolute(), automatic_cleanup=True), str(folder), folder)
    except (BaseError, OSError) as error:
        raise _problem(error, str(folder)) from error


def in_memory() -> Objects:
    """Return objects that end with the process: the twin of the other two, for tests."""
    return Objects(MemoryStore(), "memory")


def in_s3(url: str, access: S3Access) -> Objects:
    """Return the objects below ``s3://BUCKET[/PREFIX]``; nothing is connected yet.

    Raises:
        BadInputError: the URL or an option cannot be used.
    """
    bucket, _, prefix = url.removeprefix(_S3).partition("/")
    if not url.startswith(_S3) or not bucket or any(sign in bucket for sign in "@?#:"):
        # Not shown: it may hold what does not belong there.
        raise BadInputError("s3://BUCKET or s3://BUCKET/PREFIX", "another address", "correct samples.place")
    try:
        store = S3Store(
            bucket,
            prefix=prefix.strip("/") or None,
            config=_config(access),
            client_options=_client_options(access),
            retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=access.timeout_s)},
        )
    except (BaseError, OSError, ValueError) as error:
        raise BadInputError("settings samples.* for S3", _first_line(error), "correct them") from error
    return Objects(store, url)


def _config(access: S3Access) -> S3Config:
    config: S3Config = {"region": access.region, "disable_bulk_delete": True}  # not every S3-compatible store has it
    if access.endpoint is not None:
        config["endpoint"] = access.endpoint
    if access.access_key_id is not None and access.secret_access_key is not None:
        config |= {"access_key_id": access.access_key_id, "secret_access_key": access.secret_access_key}
    return config


def _client_options(access: S3Access) -> ClientConfig:
    options: ClientConfig = {
        "allow_http": (access.endpoint or "").startswith("http://"),
        "timeout": timedelta(seconds=access.timeout_s),
        "connect_timeout": timedelta(seconds=min(_CONNECT_TIMEOUT_S, access.timeout_s)),
    }
    if access.ca_file is not None:
        options["root_certificate"] = access.ca_file.read_bytes()
    return options


def _problem(error: Exception, where: str) -> InspectorError:
    said, text = _first_line(error), str(error)
    if isinstance(error, FileNotFoundError) or _NO_BUCKET in text:  # listing or writing: the place itself is not there
        return BadInputError(f"samples in {where}", said, "create the bucket, or correct samples.place")
    if _NO_PATH in text:
        return BadInputError(
            f"names in {where} that can be paths", said, "delete it, or give samples a prefix of their own"
        )
    if isinstance(error, _REFUSED) or any(sign in text for sign in _REFUSED_TEXT):
        return CredentialsError(
            f"{where} to let us in", said, "check samples.access_key_id and its secret, or the folder's rights"
        )
    if any(sign in text for sign in _FULL):
        return ServiceUnavailableError(f"room in {where}", said, "make room there, or lower samples.max_bytes")
    return ServiceUnavailableError(f"samples in {where}", said, "check that it is there, and samples.*")


def _first_line(error: Exception) -> str:
    # obstore adds its own source to the message, and the server's answer, which may be anything.
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return shortened(line.partition(": <?xml")[0])
