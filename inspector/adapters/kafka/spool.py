"""A bounded queue on disk for frames that Kafka cannot take yet."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from inspector.domain.errors import BadInputError, InspectorError

_log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS frames (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    frame_id TEXT NOT NULL,
    key BLOB NOT NULL,
    headers TEXT NOT NULL,
    value BLOB NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class SpooledFrame:
    """One record to publish, as it will be sent: the same id every time, so that a repeat is seen for what it is."""

    frame_id: str
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: bytes = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """Bytes of the image, which are nearly all of the record."""
        return len(self.value)


class SpoolError(InspectorError):
    """The spool's disk takes or gives nothing: full, read-only or broken."""


class Spool:
    """First in, first out, in an SQLite file (WAL, synced at every change): it survives a kill and a power cut.

    Safe to use from several threads of one process; one process at a time owns it.

    Raises:
        BadInputError: the folder cannot be written, is in use, or holds something that is no spool.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        path = folder / "spool.sqlite3"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
            # Exclusive: two producers draining one spool would publish everything twice.
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute(_SCHEMA)
            count, size = self._database.execute("SELECT COUNT(*), SUM(LENGTH(value)) FROM frames").fetchone()
        except (OSError, sqlite3.Error) as error:
            raise BadInputError(
                f"a spool folder of this producer's own at {folder}", str(error), "give it another folder, or free this"
            ) from error
        self._count, self._bytes = int(count), int(size or 0)
        self._folder = folder
        self._removed_to = 0  # positions up to here are done with, also where the disk did not let them be deleted

    def __len__(self) -> int:
        return self._count

    @property
    def used_bytes(self) -> int:
        """Bytes of the images held."""
        return self._bytes

    def append(self, frames: Sequence[SpooledFrame], force: bool = False) -> bool:
        """Put frames at the end, all or none; False: they do not fit. ``force`` ignores the bound.

        Raises:
            SpoolError: the disk takes none of them.
        """
        size = sum(frame.size_bytes for frame in frames)
        with self._lock:
            if not force and self._bytes + size > self._max_bytes:
                return False
            rows = [(frame.frame_id, frame.key, _dump(frame.headers), frame.value) for frame in frames]
            with self._told_errors():
                self._insert(rows)
            self._count += len(frames)
            self._bytes += size
        return True

    def peek(self, after: int, limit: int) -> list[tuple[int, SpooledFrame]]:
        """Return up to ``limit`` frames, oldest first, with their positions, all greater than ``after``.

        Raises:
            SpoolError: the disk cannot be read.
        """
        query = (
            "SELECT position, frame_id, key, headers, value FROM frames WHERE position > ? ORDER BY position LIMIT ?"
        )
        with self._lock, self._told_errors():
            rows = self._database.execute(query, (max(after, self._removed_to), limit)).fetchall()
        return [(row[0], SpooledFrame(row[1], row[2], _load(row[3]), row[4])) for row in rows]

    def remove(self, position: int) -> None:
        """Remove the frames up to ``position``, the oldest; nothing happens if they are gone.

        A full disk does not let anything be deleted either: they are gone all the same, but for the next start.

        Raises:
            SpoolError: the disk cannot be read.
        """
        removed = "SELECT COUNT(*), SUM(LENGTH(value)) FROM frames WHERE position > ? AND position <= ?"
        with self._lock:
            with self._told_errors():
                count, size = self._database.execute(removed, (self._removed_to, position)).fetchone()
            self._removed_to = max(self._removed_to, position)
            self._count -= count
            self._bytes -= size or 0
            try:
                self._database.execute("DELETE FROM frames WHERE position <= ?", (self._removed_to,))
            except sqlite3.Error as error:
                _log.warning("a frame in %s was sent and cannot be deleted yet: %s", self._folder, error)

    def close(self) -> None:
        """Close the file; what is in it stays."""
        self._database.close()

    def _insert(self, rows: Sequence[tuple[str, bytes, str, bytes]]) -> None:
        self._database.execute("BEGIN")
        try:
            self._database.executemany("INSERT INTO frames (frame_id, key, headers, value) VALUES (?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")
        except sqlite3.Error:
            if self._database.in_transaction:  # a full disk may have ended it
                self._database.execute("ROLLBACK")
            raise

    @contextmanager
    def _told_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SpoolError(
                f"a disk that takes frames at {self._folder}", str(error), "make room there, or see to the disk"
            ) from error


def _dump(headers: tuple[tuple[str, bytes], ...]) -> str:
    return json.dumps([(name, value.decode("latin-1")) for name, value in headers])


def _load(text: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode("latin-1")) for name, value in json.loads(text))
