"""What the topics say of frames, looked up by the frame's place: a table on disk, so that its size costs no memory."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inspector.domain.errors import BadInputError
from inspector.domain.frame import FrameSource
from inspector.pipeline.reconciliation import Committed, CommittedAlert

_TABLES = (
    # No journal: the table is thrown away with the process, whole or not.
    "PRAGMA journal_mode=OFF",
    "PRAGMA synchronous=OFF",
    "CREATE TABLE alerts "
    "(part INTEGER, place INTEGER, frame TEXT, camera TEXT, score REAL, weights TEXT, sent_ms INTEGER)",
    "CREATE TABLE letters (part INTEGER, place INTEGER, reason TEXT)",
    "BEGIN",
)
_SORTED = (
    "COMMIT",
    "CREATE INDEX alerts_by_place ON alerts (part, place)",
    "CREATE INDEX letters_by_place ON letters (part, place)",
)
_ASKED = "WHERE part = ? AND place IN (SELECT value FROM json_each(?))"
_ALERTS_OF = f"SELECT place, frame, camera, score, weights, sent_ms FROM alerts {_ASKED} ORDER BY sent_ms"  # noqa: S608  # a constant
_LETTERS_OF = f"SELECT place, reason FROM letters {_ASKED}"  # noqa: S608  # as above
_CHUNK = 1000


class OutcomeIndex:
    """Alerts and dead letters of one frames topic. Fill it, ``seal`` it, ask it; ``close`` removes it from the disk.

    One thread's. All of it raises ``BadInputError`` where there is no room for it on the disk.
    """

    def __init__(self) -> None:
        with _on_disk():
            self._folder = tempfile.TemporaryDirectory(prefix="inspector-reconcile-")
            self._db = sqlite3.connect(Path(self._folder.name) / "outcomes.sqlite3", isolation_level=None)
        for statement in _TABLES:
            self._run(statement)

    def add_alert(self, source: FrameSource, alert: CommittedAlert) -> None:
        """Take down one committed alert."""
        self._run(
            "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                source.partition,
                source.offset,
                alert.frame_id,
                alert.camera_id,
                alert.anomaly_score,
                alert.weights_version,
                alert.committed_ms,
            ),
        )

    def add_letter(self, source: FrameSource, reason: str) -> None:
        """Take down one committed dead letter."""
        self._run("INSERT INTO letters VALUES (?, ?, ?)", (source.partition, source.offset, reason))

    def seal(self) -> None:
        """Say that all is in."""
        for statement in _SORTED:
            self._run(statement)

    def of(self, partition: int, offsets: Iterable[int]) -> dict[int, Committed]:
        """Return what is known of these frames; those with neither alert nor dead letter are left out."""
        wanted = json.dumps(list(offsets))
        alerts: defaultdict[int, list[CommittedAlert]] = defaultdict(list)
        letters: defaultdict[int, list[str]] = defaultdict(list)
        for place, *facts in self._run(_ALERTS_OF, (partition, wanted)):
            alerts[place].append(CommittedAlert(*facts))
        for place, reason in self._run(_LETTERS_OF, (partition, wanted)):
            letters[place].append(reason)
        return {
            place: Committed(tuple(alerts.get(place, ())), tuple(letters.get(place, ())))
            for place in alerts.keys() | letters.keys()
        }

    def alerted_before(self, partition: int, offset: int) -> Iterator[list[int]]:
        """Yield the offsets below ``offset`` that have an alert, in order, some at a time."""
        last = -1
        while True:
            rows = self._run(
                "SELECT DISTINCT place FROM alerts WHERE part = ? AND place > ? AND place < ? ORDER BY place LIMIT ?",
                (partition, last, offset, _CHUNK),
            )
            if not rows:
                return
            yield [place for (place,) in rows]
            last = rows[-1][0]

    def close(self) -> None:
        """Remove it."""
        self._db.close()
        self._folder.cleanup()

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> list[Any]:
        with _on_disk():
            return self._db.execute(statement, values).fetchall()


@contextmanager
def _on_disk() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise BadInputError(
            "room on the disk for a table of alerts and dead letters", str(error), "free some, or set TMPDIR elsewhere"
        ) from error
