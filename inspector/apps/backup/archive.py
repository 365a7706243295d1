"""The file of a backup: a tar of records and artefacts, and at its end a manifest with the SHA-256 of each.

A file that was cut short has no manifest, and is refused. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from inspector.adapters.artefacts import verified
from inspector.apps.backup.records import LineRecords, VetoedVersion
from inspector.domain.artefact import Announcement
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback
from inspector.domain.records import from_json, to_json
from inspector.domain.release import Rollout, WeightsRelease

BACKUP_SCHEMA = "inspection.backup/1"
_MANIFEST = "manifest.json"
_MAX_MEMBER_BYTES = 1 << 30

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """What is in the file: names with the SHA-256 of their bytes; ``missing`` was named by a record and not there."""

    created_at: datetime
    members: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    schema: str = BACKUP_SCHEMA


class BackupWriter:
    """Writes members one after the other; see ``writing``."""

    def __init__(self, tar: tarfile.TarFile, created_at: datetime) -> None:
        self._tar = tar
        self._created_at = created_at
        self._members: dict[str, str] = {}
        self.missing: list[str] = []

    def add_records(self, records: LineRecords) -> None:
        """Add all records, each kind as JSON lines."""
        for name, kept in _by_member(records):
            self.add(name, b"".join(to_json(record) + b"\n" for record in kept))

    def add(self, name: str, data: bytes) -> None:
        """Add one member."""
        self._put(name, data)
        self._members[name] = hashlib.sha256(data).hexdigest()

    def finish(self) -> BackupManifest:
        """Write the manifest, which makes the file whole, and return it."""
        manifest = BackupManifest(self._created_at, dict(self._members), tuple(self.missing))
        self._put(_MANIFEST, to_json(manifest))
        return manifest

    def _put(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = len(data), int(self._created_at.timestamp()), 0o600
        self._tar.addfile(info, io.BytesIO(data))


@contextmanager
def writing(path: Path, created_at: datetime) -> Iterator[BackupWriter]:
    """Open a new file, readable by its owner alone; it has its name once it is whole and on disk.

    Raises:
        BadInputError: there is such a file, or it cannot be written.
    """
    if path.exists():
        raise BadInputError("a new file", f"{path}, which is there", "choose another name: backups replace nothing")
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                yield BackupWriter(tar, created_at)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        raise BadInputError(
            "a file that can be written", f"{error.strerror}: {path}", "choose another place"
        ) from error
    finally:
        part.unlink(missing_ok=True)


class Backup:
    """An open backup of which every byte was held against its hash."""

    def __init__(self, tar: tarfile.TarFile, manifest: BackupManifest, where: str) -> None:
        self._tar = tar
        self._where = where
        self.manifest = manifest

    def records(self) -> LineRecords:
        """Return the records. Raises BadInputError where one cannot be read."""
        rollouts = self._records("rollout", Rollout)
        return LineRecords(
            self._records("config", Announcement),
            self._records("releases", WeightsRelease),
            rollouts[0] if rollouts else None,
            self._records("feedback", Feedback),
            self._records("vetoes", VetoedVersion),
        )

    def artefacts(self, folder: str) -> Iterator[bytes]:
        """Yield the members of ``artefacts`` or ``masks``, each of which hashes to its own name."""
        for name in self.manifest.members:
            kind, _, version = name.partition("/")
            if kind == folder:
                yield verified(version, self.read(name))

    def read(self, name: str) -> bytes:
        """Return a member's bytes.

        Raises:
            BadInputError: it is not there, too large, or not what the manifest says.
        """
        data = _member(self._tar, name, self._where)
        if name != _MANIFEST and hashlib.sha256(data).hexdigest() != self.manifest.members.get(name):
            raise _damaged(f"{name} with other bytes than the manifest says", self._where)
        return data

    def _records(self, name: str, kind: type[T]) -> tuple[T, ...]:
        return tuple(from_json(kind, line) for line in self.read(f"records/{name}.jsonl").splitlines())


@contextmanager
def reading(path: Path) -> Iterator[Backup]:
    """Open a backup and verify all of it, before anything is done with any of it.

    Raises:
        BadInputError: it cannot be read, is no backup, or is damaged.
    """
    try:
        with tarfile.open(path, mode="r:") as tar:
            manifest = from_json(BackupManifest, _member(tar, _MANIFEST, str(path)))
            backup = Backup(tar, manifest, str(path))
            for name in manifest.members:
                backup.read(name)
            yield backup
    except (OSError, tarfile.TarError) as error:
        raise BadInputError(
            "a file that `inspector backup` wrote", f"{path}: {error}", "name one, or take an older backup"
        ) from error


def _member(tar: tarfile.TarFile, name: str, where: str) -> bytes:
    try:
        info = tar.getmember(name)
    except KeyError:
        raise _damaged(f"none of the name {name}", where) from None
    file = tar.extractfile(info) if info.isreg() and info.size <= _MAX_MEMBER_BYTES else None
    if file is None:
        raise _damaged(f"{name} that is no plain member of at most 1 GiB", where)
    data = file.read()
    if len(data) != info.size:
        raise _damaged(f"{name} cut short", where)
    return data


def _damaged(got: str, where: str) -> BadInputError:
    return BadInputError(f"a whole backup in {where}", got, "take another copy, or an older backup")


def _by_member(records: LineRecords) -> Iterable[tuple[str, Sequence[object]]]:
    return (
        ("records/config.jsonl", records.announcements),
        ("records/releases.jsonl", records.releases),
        ("records/rollout.jsonl", [] if records.rollout is None else [records.rollout]),
        ("records/feedback.jsonl", records.feedback),
        ("records/vetoes.jsonl", records.vetoes),
    )
