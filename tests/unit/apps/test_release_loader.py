"""A release becomes an engine that scores as its file does, or is refused; a small random model, real files."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load

from inspector.adapters.memory.store import MemoryArtefactStore
from inspector.apps import model_wiring
from inspector.apps.release_loader import ReleaseLoader
from inspector.dapo.prompt_weights import PromptWeights, init_prompt_weights, seal
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text import serving_texts
from inspector.dapo.weights_file import weights_bytes
from inspector.domain.errors import BadInputError, ServiceUnavailableError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.product import DefectSpec, ProductSettings, Vocabulary
from inspector.domain.records import from_json, to_json
from inspector.domain.release import GoldenScores, WeightsRelease
from inspector.domain.weights import TextMode, WeightsManifest
from inspector.settings import Settings
from inspector.vision.opencv import cv2
from inspector.vision.preprocess import preprocess
from inspector.vision.texts_file import dump_texts, parse_texts

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def settings(tiny_model: str) -> Settings:
    product = {"object": "plate", "defects": ["scratch", "dent"]}
    return Settings.model_validate(
        {"model": {"name": tiny_model, "pretrained": "random", "engine": "torch"}, "products": {"plate": product}}
    )


@dataclass
class Published:
    """A sound release, and the store that holds it."""

    store: MemoryArtefactStore
    release: WeightsRelease
    data: bytes


def _made(settings: Settings, seed: int) -> tuple[PromptWeights, WeightsManifest]:
    weights, manifest = init_prompt_weights(model_wiring.model_spec(settings), Vocabulary(()), seed)
    return weights, seal(weights, replace(manifest, trained=True))


@pytest.fixture(scope="module")
def files(settings: Settings) -> tuple[bytes, bytes, WeightsManifest]:
    """Sound weights, T of the words of the settings, and the manifest."""
    data, manifest = weights_bytes(*_made(settings, 7))
    weights, _ = model_wiring.parse_prompt_weights(settings, data, "the test")
    products, cameras = settings.domain_products(), settings.domain_cameras()
    engine = model_wiring.engine_of(settings, weights, manifest, products, cameras, allow_unknown=True)
    return data, dump_texts(engine.texts(), manifest.version), manifest


@pytest.fixture
def published(files: tuple[bytes, bytes, WeightsManifest]) -> Published:
    data, texts, manifest = files
    store = MemoryArtefactStore()
    release = WeightsRelease(manifest.version, store.put(data), manifest.model, NOW, texts_version=store.put(texts))
    return Published(store, release, data)


def frame() -> Frame:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (80, 96, 3), dtype=torch.uint8, generator=generator).numpy()
    image = cv2.imencode(".png", pixels)[1].tobytes()
    meta = FrameMeta("f1", "cam1", "line-1", "plate", NOW, "image/png")
    return Frame(meta, FrameSource("inspection.frames", 0, 0), image)


def test_a_release_scores_as_its_file_does_and_needs_no_text_tower(
    settings: Settings, published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(published.data)
    model = settings.model.model_copy(update={"weights": file})
    expected = model_wiring.engine(settings.model_copy(update={"model": model}))
    asked: list[Vocabulary] = []

    def encode(
        spec: ModelSpec, weights: PromptWeights, words: Collection[Vocabulary], text_mode: TextMode
    ) -> dict[Vocabulary, torch.Tensor]:
        asked.extend(words)
        return serving_texts(spec, weights, words, text_mode)

    monkeypatch.setattr("inspector.vision.raw_scorer.serving_texts", encode)
    engine, _taken = ReleaseLoader(settings, published.store).load(published.release)
    assert asked == []
    assert engine.weights_version == published.release.weights_version
    one, other = (each.inspect([each.decode(frame())])[0] for each in (engine, expected))
    assert (one.anomaly_score, one.pred_label) == (other.anomaly_score, other.pred_label)
    # A word that is new since the release was published is still learnt.
    engine.set_product("lid", ProductSettings("lid", (DefectSpec("dent"),)))
    assert asked == [Vocabulary(("dent",), "lid")]


def test_a_release_without_texts_encodes_them_itself(settings: Settings, published: Published) -> None:
    release = replace(published.release, texts_version=None)
    engine, _ = ReleaseLoader(settings, published.store).load(release)
    assert len(engine.texts()) == 2


@pytest.fixture(scope="module")
def golden(settings: Settings, files: tuple[bytes, bytes, WeightsManifest]) -> GoldenScores:
    """What the weights score where they are published: with torch at fp32."""
    data, _, manifest = files
    weights, _ = model_wiring.parse_prompt_weights(settings, data, "the test")
    return model_wiring.engine_of(settings, weights, manifest, {}, {}, allow_unknown=True).check_golden_batch()


@pytest.mark.parametrize("how", [{"precision": "bf16"}, {"engine": "onnx"}, {"engine": "onnx", "precision": "int8"}])
def test_other_precisions_and_engines_score_the_golden_batch_as_where_it_was_published(
    settings: Settings, published: Published, golden: GoldenScores, how: dict[str, str]
) -> None:
    model = settings.model.model_copy(update=how)
    loader = ReleaseLoader(settings.model_copy(update={"model": model}), published.store)
    engine, _ = loader.load(replace(published.release, golden=golden))
    assert engine.weights_version == published.release.weights_version


def test_other_products_than_where_it_was_published_change_nothing_of_what_is_expected(
    settings: Settings, published: Published, golden: GoldenScores
) -> None:
    other = Settings.model_validate(
        {"model": settings.model.model_dump(), "products": {"default": {"object": "lid", "defects": ["rust"]}}}
    )
    ReleaseLoader(other, published.store).load(replace(published.release, golden=golden))


def test_weights_that_score_otherwise_here_than_where_they_were_published_are_refused(
    settings: Settings, published: Published, golden: GoldenScores, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = replace(published.release, golden=golden)

    def blue_first(pixels: Sequence[NDArray[np.uint8]], *rest: Any) -> torch.Tensor:
        return preprocess([each[..., ::-1].copy() for each in pixels], *rest)

    monkeypatch.setattr("inspector.vision.raw_scorer.preprocess", blue_first)
    with pytest.raises(BadInputError, match="golden batch"):
        ReleaseLoader(settings, published.store).load(release)
    # One published before scores were kept is only asked for numbers.
    ReleaseLoader(settings, published.store).load(published.release)


def test_golden_scores_travel_with_a_release_and_are_held_to_be_numbers(golden: GoldenScores) -> None:
    release = WeightsRelease("v1", "a" * 64, "m", NOW, golden=golden)
    assert from_json(WeightsRelease, to_json(release)) == release
    with pytest.raises(BadInputError):
        replace(golden, logits=(float("nan"),))


def _missing(settings: Settings, found: Published) -> WeightsRelease:
    return replace(found.release, artefact_version="0" * 64)


def _flipped(settings: Settings, found: Published) -> WeightsRelease:
    middle = len(found.data) // 2
    found.store.damage(
        found.release.artefact_version, found.data[:middle] + bytes([found.data[middle] ^ 1]) + found.data[middle + 1 :]
    )
    return found.release


def _truncated(settings: Settings, found: Published) -> WeightsRelease:
    return replace(found.release, artefact_version=found.store.put(found.data[: len(found.data) // 2]))


def _of_another_model(settings: Settings, found: Published) -> WeightsRelease:
    model = settings.model.model_copy(update={"seed": settings.model.seed + 1})  # other frozen weights
    other = settings.model_copy(update={"model": model})
    data, manifest = weights_bytes(*_made(other, 7))
    return replace(found.release, weights_version=manifest.version, artefact_version=found.store.put(data))


def _not_numbers(settings: Settings, found: Published) -> WeightsRelease:
    return _spoilt(settings, found, float("nan"))


def _overflowing(settings: Settings, found: Published) -> WeightsRelease:
    return _spoilt(settings, found, 1e38)


def _spoilt(settings: Settings, found: Published, value: float) -> WeightsRelease:
    """Weights whose every sum and shape is right, and one tensor full of ``value``."""
    weights, manifest = _made(settings, 7)
    tensors = weights.state_dict()
    tensors["adapters.0.weight"].fill_(value)
    data, sealed = weights_bytes(weights, manifest)
    assert set(load(data)) == set(tensors)
    return replace(
        found.release, weights_version=sealed.version, artefact_version=found.store.put(data), texts_version=None
    )


def _another_version(settings: Settings, found: Published) -> WeightsRelease:
    data, _ = weights_bytes(*_made(settings, 8))
    return replace(found.release, artefact_version=found.store.put(data))


def _texts_of_others(settings: Settings, found: Published) -> WeightsRelease:
    rows = torch.eye(32)[:3]
    data = dump_texts({Vocabulary(("scratch", "dent"), "plate"): rows}, "f" * 64)
    return replace(found.release, texts_version=found.store.put(data))


BAD = {
    "expected an artefact stored as": _missing,
    "bytes that hash to": _flipped,
    "safetensors": _truncated,
    "weights made for": _of_another_model,
    "finite numbers": _not_numbers,
    "golden batch": _overflowing,
    "weights of version": _another_version,
    "texts of weights": _texts_of_others,
}


@pytest.mark.parametrize("complaint", BAD)
def test_a_bad_release_is_refused_by_the_check_that_is_meant_for_it(
    settings: Settings, published: Published, complaint: str
) -> None:
    release = BAD[complaint](settings, published)
    with pytest.raises(BadInputError) as refused:
        ReleaseLoader(settings, published.store).load(release)
    assert complaint in str(refused.value)


def test_a_store_that_is_away_is_told_apart_from_a_bad_release(settings: Settings, published: Published) -> None:
    published.store.outage.plan(1)
    with pytest.raises(ServiceUnavailableError):
        ReleaseLoader(settings, published.store).load(published.release)


def test_a_second_model_beyond_its_budget_is_not_kept(
    settings: Settings, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = iter([0, 50 * 2**20, 50 * 2**20, 150 * 2**20])
    monkeypatch.setattr("inspector.apps.release_loader.used_bytes", lambda _device: next(held))
    rollout = settings.rollout.model_copy(update={"memory_mb": 64})
    loader = ReleaseLoader(settings.model_copy(update={"rollout": rollout}), published.store)
    loader.from_settings()
    with pytest.raises(BadInputError, match=r"at most 64 MiB \(rollout.memory_mb\), got 100 MiB"):
        loader.load(published.release, beside=True)


def test_the_only_model_is_loaded_whatever_a_second_one_may_take(
    settings: Settings, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = iter([0, 150 * 2**20])
    monkeypatch.setattr("inspector.apps.release_loader.used_bytes", lambda _device: next(held))
    rollout = settings.rollout.model_copy(update={"memory_mb": 64})
    loader = ReleaseLoader(settings.model_copy(update={"rollout": rollout}), published.store)
    assert loader.load(published.release)[1] == 150 * 2**20


def test_an_engine_that_goes_takes_its_memory_with_it(settings: Settings, published: Published) -> None:
    engine, _ = ReleaseLoader(settings, published.store).load(published.release)
    gone = weakref.ref(engine)
    gc.disable()  # at once, without waiting for a collection: there is memory for two models, not for three
    try:
        del engine
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("damage", ["short", "nan", "length", "width"])
def test_texts_that_are_none_are_refused(damage: str) -> None:
    words = Vocabulary(("scratch",), "plate")
    rows = torch.eye(32)[:2].clone()
    if damage == "nan":
        rows[0, 0] = float("nan")
    if damage == "length":
        rows *= 2
    data = dump_texts({words: rows[:1] if damage == "short" else rows}, "v1")
    with pytest.raises(BadInputError):
        parse_texts(data, "v1", 16 if damage == "width" else 32)
    assert torch.equal(parse_texts(dump_texts({words: torch.eye(32)[:2]}, "v1"), "v1", 32)[words], torch.eye(32)[:2])
