"""``inspector backup`` and ``inspector restore``: what people and the trainer decided, in one file, and back again."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from inspector.adapters.kafka.compacted_feed import MAX_RECORD_BYTES
from inspector.adapters.kafka.config_feed import KafkaConfigFeed
from inspector.adapters.kafka.feedback_log import MAX_RECORD_BYTES as MAX_FEEDBACK_BYTES
from inspector.adapters.kafka.feedback_log import read_feedback
from inspector.adapters.kafka.small_records import publish_all
from inspector.adapters.kafka.weights_feed import announce_rollout, read_weights
from inspector.adapters.redis.artefacts import RedisArtefactStore
from inspector.apps import console, wiring
from inspector.apps.backup.archive import Backup, BackupManifest, BackupWriter, reading, writing
from inspector.apps.backup.records import LineRecords, VetoedVersion, missing_from, newer_than
from inspector.domain.errors import BadInputError
from inspector.domain.records import to_json
from inspector.settings import Settings

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Restored:
    """How many records were put back, not counting those that stood there; artefacts and masks are all written."""

    announcements: int
    releases: int
    rollout: bool
    feedback: int
    vetoes: int
    artefacts: int
    masks: int


def backup(settings: Settings, place: Path, as_json: bool) -> bool:
    """Write a backup to a new file, or into a folder under the name of the moment; tell whether nothing was missing.

    Records first, then what they name: an artefact is always stored before it is announced.

    Raises:
        BadInputError: the file is there already or cannot be written, or a topic does not exist.
        ServiceUnavailableError: Kafka or Redis is away.
        CredentialsError: one of them refuses us.
    """
    now = datetime.now(UTC)
    path = place / f"inspector-{now:%Y%m%dT%H%M%SZ}.tar" if place.is_dir() else place
    with console.status("reading the line"):
        records = read_line(settings)
        with writing(path, now) as writer:
            writer.add_records(records)
            _add_all(writer, "artefacts", wiring.artefacts(settings), records.artefact_versions())
            _add_all(writer, "masks", wiring.feedback_masks(settings), records.mask_versions())
            manifest = writer.finish()
    if as_json:
        console.print_json({"file": str(path), **_counts(records), "members": len(manifest.members)})
    else:
        console.lines([f"{path}: {_words(records)}, {path.stat().st_size / 1e6:.1f} MB"])
    _remark_missing(manifest)
    return not manifest.missing


def restore(settings: Settings, path: Path, force: bool, as_json: bool) -> Restored:
    """Put a backup back: artefacts, then what names them, the rollout last. It may be repeated.

    What stands on the line and not in the backup stays. What stands there, differs, and was decided later is a reason
    to refuse, before anything is written, unless ``force``.

    Raises:
        BadInputError: the file is no whole backup, or what stands there is newer.
        ServiceUnavailableError: Kafka or Redis is away; what was put back until then stays, and may be put back again.
        CredentialsError: one of them refuses us.
    """
    with reading(path) as kept, console.status("restoring"):
        records = kept.records()
        standing = read_line(settings)
        if (newer := newer_than(records, standing)) and not force:
            more = f" and {len(newer) - _MOST_NAMED} more" if len(newer) > _MOST_NAMED else ""
            raise BadInputError(
                f"a line on which nothing was decided after the backup of {kept.manifest.created_at:%Y-%m-%d %H:%M:%S}",
                ", ".join(newer[:_MOST_NAMED]) + more,
                "make a backup of the line as it is, then repeat with --force, which takes it back to this one",
            )
        done = _put_back(settings, kept, missing_from(standing, records), standing)
    if as_json:
        console.print_record(done)
    else:
        console.lines([f"put back {name}: {value}" for name, value in _facts(done).items()])
    _remark_missing(kept.manifest)
    return done


def read_line(settings: Settings) -> LineRecords:
    """Return what stands on the line now. Raises as ``backup``."""
    connection = wiring.kafka_connection(settings)
    with closing(KafkaConfigFeed(connection, settings.kafka.config_topic)) as feed:
        announcements = tuple(feed.poll())
    weights = read_weights(connection, settings.kafka.weights_topic)
    vetoes = wiring.rollout_store(settings).vetoed(list(weights.releases))
    return LineRecords(
        announcements,
        tuple(weights.releases.values()),
        weights.rollout,
        tuple(read_feedback(connection, settings.kafka.feedback_topic)),
        tuple(VetoedVersion(version, veto.reason, veto.replica, veto.at) for version, veto in vetoes.items()),
    )


def _put_back(settings: Settings, kept: Backup, wanted: LineRecords, standing: LineRecords) -> Restored:
    stores = {"artefacts": wiring.artefacts(settings), "masks": wiring.feedback_masks(settings)}
    stored = {folder: sum(1 for data in kept.artefacts(folder) if store.put(data)) for folder, store in stores.items()}
    vetoes = wiring.rollout_store(settings)
    for veto in wanted.vetoes:  # before the rollout, which may name one of them
        vetoes.veto(veto.version, veto.reason, veto.replica)
    connection, kafka = wiring.kafka_connection(settings), settings.kafka
    for topic, records in ((kafka.weights_topic, wanted.releases), (kafka.config_topic, wanted.announcements)):
        pairs = [(record.key, to_json(record)) for record in records]
        publish_all(connection, topic, pairs, max_record_bytes=MAX_RECORD_BYTES)
    said = [(each.frame_id, to_json(each)) for each in wanted.feedback]
    publish_all(connection, kafka.feedback_topic, said, max_record_bytes=MAX_FEEDBACK_BYTES)
    if wanted.rollout is not None:
        # Above what inspectors that run have seen.
        last = 0 if standing.rollout is None else standing.rollout.revision
        revision = max(last + 1, wanted.rollout.revision)
        announce_rollout(connection, kafka.weights_topic, replace(wanted.rollout, revision=revision))
    return Restored(
        len(wanted.announcements),
        len(wanted.releases),
        wanted.rollout is not None,
        len(wanted.feedback),
        len(wanted.vetoes),
        stored["artefacts"],
        stored["masks"],
    )


def _add_all(writer: BackupWriter, folder: str, store: RedisArtefactStore, versions: list[str]) -> None:
    for version in versions:
        try:
            data = store.get(version)
        except BadInputError:  # gone, or damaged: neither can be kept
            writer.missing.append(f"{folder}/{version}")
        else:
            writer.add(f"{folder}/{version}", data)


def _counts(records: LineRecords) -> dict[str, int | bool]:
    return {
        "announcements": len(records.announcements),
        "releases": len(records.releases),
        "rollout": records.rollout is not None,
        "feedback": len(records.feedback),
        "vetoes": len(records.vetoes),
    }


def _words(records: LineRecords) -> str:
    return ", ".join(f"{name} {int(count)}" for name, count in _counts(records).items())


def _facts(done: Restored) -> dict[str, int]:
    return {name: int(getattr(done, name)) for name in Restored.__dataclass_fields__}


def _remark_missing(manifest: BackupManifest) -> None:
    if manifest.missing:
        console.remark(
            f"not in the backup, as Redis did not have it: {len(manifest.missing)} artefacts, "
            f"{manifest.missing[0][:30]} among them; enrol these cameras or publish these weights again",
            "yellow",
        )
