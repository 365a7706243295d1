"""What a backup holds of the line's topics and of Redis, and what of it is older than what stands there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from inspector.domain.artefact import Announcement
from inspector.domain.feedback import Feedback
from inspector.domain.release import Rollout, WeightsRelease


@dataclass(frozen=True, slots=True)
class VetoedVersion:
    """Weights that no inspector serves, and why."""

    version: str
    reason: str
    replica: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LineRecords:
    """Everything that people and the trainer decided and said: what cannot be made again from frames."""

    announcements: tuple[Announcement, ...] = ()
    releases: tuple[WeightsRelease, ...] = ()
    rollout: Rollout | None = None
    feedback: tuple[Feedback, ...] = ()
    vetoes: tuple[VetoedVersion, ...] = ()

    def artefact_versions(self) -> list[str]:
        """Return the artefacts that the records name, each once: banks, thresholds, settings, weights, reports."""
        named: dict[str, None] = dict.fromkeys(announcement.version for announcement in self.announcements)
        for release in self.releases:
            versions = (release.artefact_version, release.texts_version, release.gate_report_version)
            named |= dict.fromkeys(version for version in versions if version is not None)
            named |= dict.fromkeys(companion.version for companion in release.companions)
        return list(named)

    def mask_versions(self) -> list[str]:
        """Return the masks that people drew, each once."""
        return list(dict.fromkeys(said.mask_version for said in self.feedback if said.mask_version is not None))


def missing_from(standing: LineRecords, backup: LineRecords) -> LineRecords:
    """Return the records of the backup that do not stand there as they are in it."""
    stand = {record.key: record for record in _keyed(standing)}
    said, vetoed = set(standing.feedback), {veto.version for veto in standing.vetoes}
    same_rollout = backup.rollout is not None and _same(standing.rollout, backup.rollout)
    return LineRecords(
        tuple(each for each in backup.announcements if stand.get(each.key) != each),
        tuple(each for each in backup.releases if stand.get(each.key) != each),
        None if same_rollout else backup.rollout,
        tuple(each for each in backup.feedback if each not in said),
        tuple(each for each in backup.vetoes if each.version not in vetoed),
    )


def newer_than(backup: LineRecords, standing: LineRecords) -> list[str]:
    """Return, in words, what stands on the line, differs from the backup, and was decided after it."""
    kept = {record.key: record for record in _keyed(backup)}
    words = [
        f"{record.key} of {record.created_at:%Y-%m-%d %H:%M:%S}"
        for record in _keyed(standing)
        if record.key in kept and record != kept[record.key] and record.created_at > kept[record.key].created_at
    ]
    ours, theirs = backup.rollout, standing.rollout
    if ours is not None and theirs is not None and not _same(theirs, ours) and theirs.decided_at > ours.decided_at:
        words.append(f"the rollout of {theirs.decided_at:%Y-%m-%d %H:%M:%S}")
    return words


def _keyed(records: LineRecords) -> Iterator[Announcement | WeightsRelease]:
    yield from records.announcements
    yield from records.releases


def _same(one: Rollout | None, other: Rollout) -> bool:
    """A rollout is numbered anew when it is written again; that alone makes no other one of it."""
    return one is not None and replace(one, revision=other.revision) == other
