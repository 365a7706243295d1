"""Takes announced banks, calibrations and settings into the engine, between two batches."""

from __future__ import annotations

from collections.abc import Callable

from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.errors import CredentialsError, ServiceUnavailableError
from inspector.domain.product import CameraSettings, ProductSettings
from inspector.domain.records import from_json
from inspector.pipeline.engine_ports import Engine
from inspector.pipeline.ports import ArtefactStore, ConfigFeed

# A bank is taken last: its calibration and its camera's settings are then already there for the first frame.
_ORDER = (ArtefactKind.PRODUCT, ArtefactKind.CAMERA, ArtefactKind.CALIBRATION, ArtefactKind.BANK)

OnApplied = Callable[[Announcement], None]
OnRefused = Callable[[Announcement, Exception], None]


class ConfigApplier:
    """Not thread-safe; run ``apply_pending`` on the thread that scores, so that a batch never sees half of it.

    A bank or calibration that was announced for other weights than the engine's is another engine's business.
    """

    def __init__(
        self, feed: ConfigFeed, artefacts: ArtefactStore, engine: Engine, on_applied: OnApplied, on_refused: OnRefused
    ) -> None:
        self._feed = feed
        self._artefacts = artefacts
        self._engine = engine
        self._on_applied = on_applied
        self._on_refused = on_refused
        self._pending: dict[str, Announcement] = {}

    def apply_pending(self) -> bool:
        """Apply what was announced; return False if the feed or the store is away and something may still be to come.

        A bad artefact is reported and skipped: what was in use stays in use.
        """
        try:
            arrived = [each for each in self._feed.poll() if self._is_for_us(each)]
        except ServiceUnavailableError:
            return False
        self._pending.update({announcement.key: announcement for announcement in arrived})
        for announcement in sorted(self._pending.values(), key=lambda item: _ORDER.index(item.kind)):
            try:
                self._apply(announcement)
            except ServiceUnavailableError:
                return False
            except CredentialsError:
                raise  # the store's word on us, not on the artefact
            except Exception as error:
                # Whatever it is that an announcement breaks: raised, it would break every inspector at every start.
                self._on_refused(announcement, error)
            else:
                self._on_applied(announcement)
            del self._pending[announcement.key]
        return True

    def close(self) -> None:
        """Close the feed."""
        self._feed.close()

    def _is_for_us(self, announcement: Announcement) -> bool:
        return announcement.weights_version in (None, self._engine.weights_version)

    def _apply(self, announcement: Announcement) -> None:
        data = self._artefacts.get(announcement.version)
        match announcement.kind:
            case ArtefactKind.BANK:
                self._engine.set_bank(announcement.subject, announcement.version, data)
            case ArtefactKind.CALIBRATION:
                self._engine.set_calibration(announcement.version, data)
            case ArtefactKind.PRODUCT:
                self._engine.set_product(announcement.subject, from_json(ProductSettings, data))
            case ArtefactKind.CAMERA:
                self._engine.set_camera(announcement.subject, from_json(CameraSettings, data))
