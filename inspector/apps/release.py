"""Publishing weights: verified, put into the artefact store, announced, and offered to the line as a candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from inspector.adapters.kafka.weights_feed import PublishedWeights, announce_release, change_rollout, read_weights
from inspector.apps import model_wiring, wiring
from inspector.apps.release_companions import announcements
from inspector.apps.release_loader import release_engine
from inspector.domain.artefact import ArtefactKind
from inspector.domain.errors import BadInputError
from inspector.domain.product import ProductSettings
from inspector.domain.records import from_json
from inspector.domain.release import Companion, GoldenScores, Rollout, WeightsRelease
from inspector.pipeline.rollout import Decision, confirmed, first_rollout, heeding, offered, serves_otherwise
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.domain.weights import WeightsManifest
    from inspector.pipeline.ports import ArtefactStore
    from inspector.pipeline.rollout_ports import RolloutStore

_log = structlog.get_logger()

_MAX_FILE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class _Weights:
    """A weights file's bytes, and what else a release of them needs."""

    data: bytes
    manifest: WeightsManifest
    texts: bytes
    golden: GoldenScores


def publish(
    settings: Settings,
    weights_file: Path,
    gate_report: bytes | None = None,
    companions: Sequence[Companion] = (),
    by: str | None = None,
    reason: str = "published",
) -> WeightsRelease:
    """Publish weights, and offer them as a candidate in shadow; return the release.

    Repeating it is safe: a version that serves or is on trial stays where it is. Where the rollout is pinned the
    release is published and not offered, which is said in the log. With the first release the weights of the settings
    are published too, so that the line can go back to them wherever its settings go.

    Args:
        settings: of the line; the weights must be for its model.
        weights_file: as ``inspector train`` writes it.
        gate_report: why they may serve, as JSON.
        companions: banks and calibrations that the artefact store holds, made with these weights.
        by: who decides; default: this replica.
        reason: why, in words.

    Raises:
        BadInputError: the file is no sound weights file for the model, or the version was vetoed.
        InspectorError: Kafka or Redis cannot be used.
    """
    artefacts, store = wiring.artefacts(settings), wiring.rollout_store(settings)
    connection, topic = wiring.kafka_connection(settings), settings.kafka.weights_topic
    standing = read_weights(connection, topic)
    weights = _verified(settings, artefacts, _bytes_of(weights_file), str(weights_file))
    version = weights.manifest.version
    if (veto := store.vetoes([version]).get(version)) is not None:
        raise BadInputError(
            "weights that were not vetoed", f"{version[:12]}: {veto}", f"`inspector weights promote {version} --force`"
        )
    now = store.now()
    decision = Decision(by or settings.replica, reason, now)
    if standing.rollout is None:
        own = _own(settings, artefacts)
        stable = own.manifest.version
        announce_release(connection, topic, _put(artefacts, own, now))
    else:
        stable = _heeded(store, standing.rollout).stable_version
    parent = None if stable == version else stable
    release = _put(artefacts, weights, now, parent, tuple(companions), gate_report)
    if version != stable or standing.rollout is not None:
        announce_release(connection, topic, release)

    def offer(found: PublishedWeights) -> Rollout:
        standing = found.rollout or first_rollout(stable, decision)
        rollout = _heeded(store, standing)
        if version in (rollout.stable_version, rollout.candidate_version):
            return confirmed(rollout, decision) if serves_otherwise(standing, rollout) else standing
        if rollout.pinned:
            _log.warning("published, not offered: pinned", version=version[:12], pinned=rollout.stable_version[:12])
            return rollout
        return offered(rollout, version, decision)

    if standing.rollout is None or offer(standing) != standing.rollout:
        change_rollout(connection, topic, offer)
    return release


def _heeded(store: RolloutStore, standing: Rollout) -> Rollout:
    """Return the rollout as inspectors serve it: a version that was vetoed is no parent, and nobody goes back to it."""
    return heeding(standing, store.vetoes(standing.versions).keys())


def _verified(settings: Settings, artefacts: ArtefactStore, data: bytes, where: str) -> _Weights:
    """Verify weights in every respect that an inspector does, and encode the words of the line with them."""
    from inspector.vision.texts_file import dump_texts

    weights, manifest = model_wiring.parse_prompt_weights(settings, data, where)
    engine = release_engine(settings, weights, manifest, {})
    for name, product in _announced_products(settings, artefacts).items():
        engine.set_product(name, product)
    golden = engine.check_golden_batch()
    return _Weights(data, manifest, dump_texts(engine.texts(), manifest.version), golden)


def _own(settings: Settings, artefacts: ArtefactStore) -> _Weights:
    """Return the weights that the settings name, or fresh ones where they name none."""
    from inspector.dapo.weights_file import weights_bytes

    path = model_wiring.weights_file(settings)
    if path is not None:
        return _verified(settings, artefacts, _bytes_of(path), str(path))
    return _verified(settings, artefacts, weights_bytes(*model_wiring.fresh_weights(settings))[0], "fresh weights")


def _put(
    artefacts: ArtefactStore,
    weights: _Weights,
    created_at: datetime,
    parent: str | None = None,
    companions: tuple[Companion, ...] = (),
    gate_report: bytes | None = None,
) -> WeightsRelease:
    # The artefacts first: an announced release must be readable.
    return WeightsRelease(
        weights_version=weights.manifest.version,
        artefact_version=artefacts.put(weights.data),
        model=weights.manifest.model,
        created_at=created_at,
        parent_version=parent,
        texts_version=artefacts.put(weights.texts),
        companions=companions,
        gate_report_version=None if gate_report is None else artefacts.put(gate_report),
        golden=weights.golden,
    )


def _announced_products(settings: Settings, artefacts: ArtefactStore) -> Mapping[str, ProductSettings]:
    found = [each for each in announcements(settings) if each.kind is ArtefactKind.PRODUCT]
    return {each.subject: from_json(ProductSettings, artefacts.get(each.version)) for each in found}


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise BadInputError("a weights file of at most 1 GiB", str(path), "check the path")
        return path.read_bytes()
    except OSError as error:
        raise BadInputError("a readable weights file", f"{path}: {error.strerror}", "check the path") from error
