"""One feed of announcements for as many engines as there are: each follows it from the beginning."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from inspector.domain.artefact import Announcement
from inspector.pipeline.ports import ConfigFeed


class ConfigBook:
    """Keeps the live version of everything announced. ``read`` is one thread's; what follows it may be any's."""

    def __init__(self, feed: ConfigFeed) -> None:
        self._feed = feed
        self._lock = threading.Lock()
        self._live: dict[str, tuple[int, Announcement]] = {}
        self._arrived = 0

    def read(self) -> None:
        """Take what was announced since the last call. Raises as ``ConfigFeed.poll``."""
        found = self._feed.poll()
        with self._lock:
            for announcement in found:
                self._arrived += 1
                self._live[announcement.key] = (self._arrived, announcement)

    def since(self, number: int) -> tuple[int, Sequence[Announcement]]:
        """Return how many announcements have arrived, and those after ``number`` that are live, oldest first."""
        with self._lock:
            newer = sorted((entry for entry in self._live.values() if entry[0] > number), key=lambda entry: entry[0])
            return self._arrived, tuple(announcement for _, announcement in newer)

    def follow(self, first: Sequence[Announcement] = ()) -> ConfigFeed:
        """Return a feed of its own for one engine; what is ``first`` comes before all, and any later word wins."""
        return _Follower(self, first)

    def close(self) -> None:
        """Close the feed."""
        self._feed.close()


class _Follower:
    """``ports.ConfigFeed`` over a book."""

    def __init__(self, book: ConfigBook, first: Sequence[Announcement]) -> None:
        self._book = book
        self._first = first
        self._read = 0

    def poll(self) -> Sequence[Announcement]:
        first, self._first = self._first, ()
        self._read, found = self._book.since(self._read)
        return (*first, *found)

    def close(self) -> None:
        """Close nothing: the book is closed by its owner."""
