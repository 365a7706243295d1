"""The batched path that serves gives what the plain reference gives, on every model and in both text modes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from dapo_models import BOARD, PLATE, TINY, lively_weights
from reference.dapo_reference import encode_text, score_image

from inspector.dapo.clip import build_clip, model_shape
from inspector.dapo.scorer import VisualScorer, anomaly_grid, pad_text, upsample
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text import encode_vocabularies

TOLERANCE = 1e-4


def _images(count: int, size_px: int) -> torch.Tensor:
    return torch.randn(count, 3, size_px, size_px, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    ("spec", "contexts"),
    [
        (TINY, 3),
        (replace(TINY, image_size_px=56), 2),  # a size that is not the model's own
        (ModelSpec("inspector-s"), 2),
        (ModelSpec("ViT-B-16"), 1),
    ],
    ids=lambda value: f"{value.name}-{value.image_size_px}" if isinstance(value, ModelSpec) else "",
)
def test_serving_agrees_with_the_reference(spec: ModelSpec, contexts: int) -> None:
    weights = lively_weights(spec, contexts)
    texts = encode_vocabularies(spec, weights, [PLATE, BOARD])
    scorer = VisualScorer.load(spec, weights)
    size = scorer.image_size_px
    images, vocabularies = _images(3, size), [PLATE, BOARD, PLATE]
    scores = scorer.score(images, *pad_text([texts[v] for v in vocabularies]))
    clip = build_clip(spec)
    with torch.no_grad():
        reference_texts = {v: encode_text(clip, weights, v.defect_types, v.object_word) for v in (PLATE, BOARD)}
        for index, vocabulary in enumerate(vocabularies):
            text = reference_texts[vocabulary]
            expected = score_image(clip, weights, text, images[index])
            type_map = upsample(scores.type_grid, size)[index]
            torch.testing.assert_close(texts[vocabulary], text, atol=TOLERANCE, rtol=0)
            torch.testing.assert_close(type_map[: len(text)], expected.type_map, atol=TOLERANCE, rtol=0)
            assert (type_map[len(text) :] == 0).all()
            anomaly_map = upsample(anomaly_grid(scores.type_grid)[:, None], size)[index, 0]
            torch.testing.assert_close(anomaly_map, expected.anomaly_map, atol=TOLERANCE, rtol=0)
            assert scores.image_scores[index].item() == pytest.approx(expected.image_score, abs=TOLERANCE)
            # Scores that are all alike would agree whatever went wrong.
            assert expected.type_map.std() > 100 * TOLERANCE


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("spec", [TINY, ModelSpec("inspector-s")], ids=lambda s: s.name)
def test_both_text_modes_agree_with_the_reference(spec: ModelSpec, causal: bool) -> None:
    weights = lively_weights(spec, contexts=2)
    text = encode_vocabularies(spec, weights, [BOARD], "causal" if causal else "bidirectional")[BOARD]
    with torch.no_grad():
        expected = encode_text(build_clip(spec), weights, BOARD.defect_types, BOARD.object_word, causal)
    torch.testing.assert_close(text, expected, atol=TOLERANCE, rtol=0)
    assert text.dtype == torch.float32
    assert text.shape == (6, model_shape(spec).embed_dim)
    torch.testing.assert_close(text.norm(dim=1), torch.ones(6))


def test_the_text_modes_differ() -> None:
    weights = lively_weights(TINY, contexts=2)
    causal = encode_vocabularies(TINY, weights, [PLATE], "causal")[PLATE]
    bidirectional = encode_vocabularies(TINY, weights, [PLATE], "bidirectional")[PLATE]
    assert (causal - bidirectional).abs().max() > 0.01


def test_an_image_scores_the_same_alone_and_beside_others() -> None:
    weights = lively_weights(TINY, contexts=2)
    texts = encode_vocabularies(TINY, weights, [PLATE, BOARD])
    scorer = VisualScorer.load(TINY, weights)
    images = _images(2, scorer.image_size_px)
    together = scorer.score(images, *pad_text([texts[PLATE], texts[BOARD]]))
    alone = scorer.score(images[:1], *pad_text([texts[PLATE]]))
    torch.testing.assert_close(together.type_grid[:1, :3], alone.type_grid, atol=1e-6, rtol=0)
    torch.testing.assert_close(together.image_scores[:1], alone.image_scores, atol=1e-6, rtol=0)
    for tap, own in zip(together.taps, alone.taps, strict=True):
        torch.testing.assert_close(tap[:1], own, atol=1e-5, rtol=1e-5)


def test_probabilities_of_a_patch_sum_to_one() -> None:
    weights = lively_weights(TINY, contexts=1)
    texts = encode_vocabularies(TINY, weights, [PLATE, BOARD])
    scorer = VisualScorer.load(TINY, weights)
    scores = scorer.score(_images(2, 32), *pad_text(list(texts.values())))
    torch.testing.assert_close(scores.type_grid.sum(1), torch.ones(2, 4, 4))
    assert scores.type_grid.dtype == scores.image_scores.dtype == torch.float32


def test_bf16_stays_near_fp32_and_gives_float32() -> None:
    weights = lively_weights(TINY, contexts=1)
    text, mask = pad_text(list(encode_vocabularies(TINY, weights, [PLATE]).values()))
    images = _images(1, 32)
    exact = VisualScorer.load(TINY, weights).score(images, text, mask)
    rough = VisualScorer.load(replace(TINY, precision="bf16"), weights).score(images, text, mask)
    torch.testing.assert_close(rough.type_grid, exact.type_grid, atol=0.1, rtol=0)
    assert not torch.equal(rough.type_grid, exact.type_grid)
    assert all(tap.dtype == torch.float32 for tap in rough.taps)
