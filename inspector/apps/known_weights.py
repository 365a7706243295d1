"""Prompt weights by version: those of the settings, and published ones, each read when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from inspector.adapters.kafka.weights_feed import read_weights
from inspector.apps import model_wiring, wiring
from inspector.apps.release_loader import release_weights
from inspector.domain.errors import InspectorError
from inspector.domain.release import WeightsRelease
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.dapo.prompt_weights import PromptWeights
    from inspector.domain.weights import WeightsManifest

Weights = tuple["PromptWeights", "WeightsManifest"]


class KnownWeights:
    """``own``: the weights of the settings. ``troubles``: why others could not be read, for people."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings' own. Raises as ``model_wiring.prompt_weights``."""
        self._settings = settings
        weights, manifest = model_wiring.prompt_weights(settings)
        self.own: WeightsManifest = manifest
        self.troubles: list[str] = []
        self._known: dict[str, Weights | None] = {manifest.version: (weights, manifest)}
        self._releases: Mapping[str, WeightsRelease] | None = None

    def find(self, version: str) -> Weights | None:
        """Return the weights of a version; None where it is neither the settings' nor published, or unreadable."""
        if version not in self._known:
            self._known[version] = self._published(version)
        return self._known[version]

    def __getitem__(self, version: str) -> Weights:
        """Return the weights of a version. Raises KeyError where ``find`` gives None."""
        if (found := self.find(version)) is None:
            raise KeyError(version)
        return found

    def _published(self, version: str) -> Weights | None:
        try:
            if self._releases is None:
                self._releases = {}  # asked once, whatever comes of it
                topic = self._settings.kafka.weights_topic
                self._releases = read_weights(wiring.kafka_connection(self._settings), topic).releases
            release = self._releases.get(version)
            return (
                None if release is None else release_weights(self._settings, wiring.artefacts(self._settings), release)
            )
        except InspectorError as error:
            self.troubles.append(f"weights {version[:12]} cannot be read: {error}")
            return None
