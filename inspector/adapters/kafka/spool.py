"""A bounded queue on disk for frames that Kafka cannot take yet."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inspector.domain.errors import BadInputError

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

    def __len__(self) -> int:
        return self._count

    @property
    def used_bytes(self) -> int:
        """Bytes of the images held."""
        return self._bytes

    def append(self, frames: Sequence[SpooledFrame], force: bool = False) -> bool:
        """Put frames at the end, all or none; False: they do not fit. ``force`` ignores the bound."""
        size = sum(frame.size_bytes for frame in frames)
        with self._lock:
            if not force and self._bytes + size > self._max_bytes:
                return False
            rows = [(frame.frame_id, frame.key, _dump(frame.headers), frame.value) for frame in frames]
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO frames (frame_id, key, headers, value) VALUES (?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")
            self._count += len(frames)
            self._bytes += size
        return True

    def peek(self, after: int, limit: int) -> list[tuple[int, SpooledFrame]]:
        """Return up to ``limit`` frames, oldest first, with their positions, all greater than ``after``."""
        query = (
            "SELECT position, frame_id, key, headers, value FROM frames WHERE position > ? ORDER BY position LIMIT ?"
        )
        with self._lock:
            rows = self._database.execute(query, (after, limit)).fetchall()
        return [(row[0], SpooledFrame(row[1], row[2], _load(row[3]), row[4])) for row in rows]

    def remove(self, position: int) -> None:
        """Remove the frame at ``position``; nothing happens if it is gone."""
        with self._lock:
            removed = self._database.execute(
                "DELETE FROM frames WHERE position = ? RETURNING LENGTH(value)", (position,)
            ).fetchone()
            if removed is not None:
                self._count -= 1
                self._bytes -= removed[0]

    def close(self) -> None:
        """Close the file; what is in it stays."""
        self._database.close()


def _dump(headers: tuple[tuple[str, bytes], ...]) -> str:
    return json.dumps([(name, value.decode("latin-1")) for name, value in headers])


def _load(text: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode("latin-1")) for name, value in json.loads(text))
