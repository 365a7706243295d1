"""Releases to engines: every check that weights must pass before they judge a frame, and what they take of memory."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.apps import model_wiring
from inspector.domain.errors import BadInputError
from inspector.domain.release import WeightsRelease
from inspector.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from inspector.dapo.prompt_weights import PromptWeights
    from inspector.domain.product import Vocabulary
    from inspector.domain.weights import WeightsManifest
    from inspector.pipeline.ports import ArtefactStore
    from inspector.vision.engine import InspectionEngine

_MIB = 2**20
_PAGE_BYTES = resource.getpagesize()


class ReleaseLoader:
    """``rollout_ports.EngineLoader`` with the model of the settings."""

    def __init__(self, settings: Settings, artefacts: ArtefactStore) -> None:
        self._settings = settings
        self._artefacts = artefacts
        self._own_version: str | None = None
        self._bytes_of_one = 0

    def settings_version(self) -> str:
        """See ``rollout_ports.EngineLoader``. Raises as ``model_wiring.prompt_weights``."""
        if self._own_version is None:
            self._own_version = model_wiring.prompt_weights(self._settings)[1].version
        return self._own_version

    def from_settings(self) -> InspectionEngine:
        """See ``rollout_ports.EngineLoader``."""
        before = used_bytes(self._settings.model.device)
        engine = model_wiring.engine(self._settings)
        self._bytes_of_one = max(0, used_bytes(self._settings.model.device) - before)
        return engine

    def load(self, release: WeightsRelease, *, beside: bool = False) -> tuple[InspectionEngine, int]:
        """See ``rollout_ports.EngineLoader``; checked cheapest first: hash, structure, model, shapes, numbers, texts,
        room in memory, golden batch.
        """
        budget, device = self._settings.rollout.memory_mb * _MIB, self._settings.model.device
        weights, manifest, texts = self._read(release)
        if beside and self._bytes_of_one > budget:
            raise _too_large(self._bytes_of_one, budget)
        before = used_bytes(device)
        engine = release_engine(self._settings, weights, manifest, texts)
        engine.check_golden_batch(release.golden)
        # What others took meanwhile is in it, which is memory too.
        taken = max(0, used_bytes(device) - before)
        if beside and taken > budget:
            raise _too_large(taken, budget)
        self._bytes_of_one = max(self._bytes_of_one, taken)
        return engine, taken

    def _read(self, release: WeightsRelease) -> tuple[PromptWeights, WeightsManifest, Mapping[Vocabulary, Tensor]]:
        from inspector.dapo.clip import model_shape
        from inspector.vision.texts_file import parse_texts

        weights, manifest = release_weights(self._settings, self._artefacts, release)
        if release.texts_version is None:
            return weights, manifest, {}
        texts = self._artefacts.get(release.texts_version)
        width = model_shape(model_wiring.model_spec(self._settings)).embed_dim
        return weights, manifest, parse_texts(texts, manifest.version, width)


def release_weights(
    settings: Settings, artefacts: ArtefactStore, release: WeightsRelease
) -> tuple[PromptWeights, WeightsManifest]:
    """Return a release's weights, verified. Raises BadInputError where they are not what it says they are."""
    data = artefacts.get(release.artefact_version)
    weights, manifest = model_wiring.parse_prompt_weights(settings, data, f"release {release.weights_version[:12]}")
    if manifest.version != release.weights_version:
        raise BadInputError(
            f"weights of version {release.weights_version[:12]}", manifest.version[:12], "publish them again"
        )
    return weights, manifest


def release_engine(
    settings: Settings,
    weights: PromptWeights,
    manifest: WeightsManifest,
    texts: Mapping[Vocabulary, Tensor],
) -> InspectionEngine:
    """Return an engine of these weights with the settings' products and cameras. Raises as ``model_wiring.engine``."""
    products, cameras = settings.domain_products(), settings.domain_cameras()
    return model_wiring.engine_of(settings, weights, manifest, products, cameras, settings.cameras.allow_unknown, texts)


def used_bytes(device: str) -> int:
    """Return what this process holds: of the device's memory on a GPU, else of the machine's (resident)."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.memory_allocated(device)
    try:
        resident_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0  # not Linux: nothing is known, so nothing is refused for it
    return resident_pages * _PAGE_BYTES


def _too_large(taken: int, budget: int) -> BadInputError:
    return BadInputError(
        f"a second version to take at most {budget // _MIB} MiB (rollout.memory_mb)",
        f"{taken / _MIB:.0f} MiB",
        "raise rollout.memory_mb, if there is memory for two models",
    )
