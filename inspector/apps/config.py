"""``inspector config``: products and cameras of the settings file, announced to running inspectors."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from inspector.adapters.kafka.config_feed import KafkaConfigFeed, announce
from inspector.apps import console, wiring
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.errors import BadInputError
from inspector.domain.records import to_json
from inspector.settings import Settings


def push(settings: Settings, as_json: bool) -> None:
    """Store and announce every product and camera of the settings that differs from what is announced.

    Raises:
        BadInputError: the settings name neither products nor cameras.
        InspectorError: Kafka or Redis cannot be used.
    """
    wanted = list(_settings_artefacts(settings))
    if not wanted:
        raise BadInputError(
            "products or cameras in the settings", "none", "add them to inspector.yaml, or name it with -c"
        )
    artefacts = wiring.artefacts(settings)
    live = {announcement.key: announcement.version for announcement in _live(settings)}
    facts = []
    for kind, subject, data in wanted:
        announcement = Announcement(kind, subject, artefacts.put(data), datetime.now(UTC))
        changed = live.get(announcement.key) != announcement.version
        if changed:
            publish(settings, announcement)
        facts.append({"what": announcement.key, "version": announcement.version, "announced": changed})
    if as_json:
        console.print_json(facts)
        return
    console.lines(
        [f"{'announced' if f['announced'] else 'unchanged'} {f['what']} {str(f['version'])[:12]}" for f in facts]
    )


def show(settings: Settings, as_json: bool) -> None:
    """Print the live version of everything announced. Raises as ``KafkaConfigFeed``."""
    live = sorted(_live(settings), key=lambda announcement: announcement.key)
    if as_json:
        facts = [
            {
                "kind": a.kind.value,
                "subject": a.subject,
                "version": a.version,
                "created_at": a.created_at,
                "weights_version": a.weights_version,
            }
            for a in live
        ]
        console.print_json(facts)
        return
    made = console.table("kind", "of", "version", "announced", "for weights")
    for a in live:
        made.add_row(
            a.kind.value,
            console.cell(a.subject),
            console.cell(a.version[:12]),
            console.local_time(a.created_at),
            console.cell((a.weights_version or "")[:12] or "-"),
        )
    console.print_table(made)


def publish(settings: Settings, announcement: Announcement) -> None:
    """Announce one version and wait until the brokers have it. Raises as ``announce``."""
    announce(wiring.kafka_connection(settings), settings.kafka.config_topic, announcement)


def _live(settings: Settings) -> tuple[Announcement, ...]:
    feed = KafkaConfigFeed(wiring.kafka_connection(settings), settings.kafka.config_topic)
    try:
        return tuple(feed.poll())
    finally:
        feed.close()


def _settings_artefacts(settings: Settings) -> Iterator[tuple[ArtefactKind, str, bytes]]:
    # Products first: a camera that names one finds it there.
    for name, product in settings.products.items():
        yield ArtefactKind.PRODUCT, name, to_json(product.to_domain())
    for camera_id, camera in settings.domain_cameras().items():
        yield ArtefactKind.CAMERA, camera_id, to_json(camera)
