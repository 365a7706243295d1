"""Products as running inspectors know them: those of the settings, and over them those that were announced."""

from __future__ import annotations

import logging
import threading

from inspector.adapters.kafka.config_feed import KafkaConfigFeed
from inspector.apps import wiring
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.errors import BadInputError
from inspector.domain.product import ProductSettings
from inspector.domain.records import from_json
from inspector.settings import Settings

_log = logging.getLogger(__name__)


class KnownProducts:
    """Connects when it is first asked, and takes what was announced since at every further question. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._products = dict(settings.domain_products())
        self._feed: KafkaConfigFeed | None = None
        self._pending: dict[str, Announcement] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> ProductSettings:
        """Return a product, the default one where it is not known.

        Raises:
            InspectorError: Kafka or Redis cannot be used.
        """
        with self._lock:
            self._take_announced()
            return self._products.get(name, self._products["default"])

    def close(self) -> None:
        """Close; never raises."""
        with self._lock:
            if self._feed is not None:
                self._feed.close()

    def _take_announced(self) -> None:
        if self._feed is None:
            connection = wiring.kafka_connection(self._settings)
            self._feed = KafkaConfigFeed(connection, self._settings.kafka.config_topic)
        announced = (one for one in self._feed.poll() if one.kind is ArtefactKind.PRODUCT)
        self._pending.update({one.subject: one for one in announced})
        if not self._pending:
            return
        artefacts = wiring.artefacts(self._settings)
        for name, announcement in list(self._pending.items()):
            try:
                self._products[name] = from_json(ProductSettings, artefacts.get(announcement.version))
            except BadInputError as error:  # as the inspectors do: what was in use stays in use
                _log.warning("product %s was announced and cannot be used: %s", name, error)
            del self._pending[name]  # only now: while the store is away, it stays to be taken
