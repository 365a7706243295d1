"""The visual tower in ONNX Runtime gives what torch gives: to rounding in fp32, within 0.02 on maps in 8 bits."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from dapo_models import BOARD, PLATE, TINY, lively_weights
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from inspector.dapo.layer_tokens import run_with_layer_tokens
from inspector.dapo.onnx_graph import INPUT, blocks_graph
from inspector.dapo.prompt_weights import PromptWeights, init_prompt_weights
from inspector.dapo.scorer import BatchScores, VisualScorer, anomaly_grid, pad_text
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text import encode_vocabularies
from inspector.dapo.visual_tower import load_visual_tower

SMALL = ModelSpec("inspector-s")
MODELS = [TINY, replace(TINY, image_size_px=56), SMALL]


def images(count: int, spec: ModelSpec) -> Tensor:
    size_px = spec.image_size_px or {"dapo-tiny": 32, "inspector-s": 256}[spec.name]
    return torch.randn(count, 3, size_px, size_px, generator=torch.Generator().manual_seed(5))


def texts(spec: ModelSpec, weights: PromptWeights, count: int) -> tuple[Tensor, Tensor]:
    found = encode_vocabularies(spec, weights, [PLATE, BOARD])
    return pad_text([found[(PLATE, BOARD)[i % 2]] for i in range(count)])


def both(spec: ModelSpec, count: int, precision: str, weights: PromptWeights) -> tuple[BatchScores, BatchScores]:
    tower, batch, text = load_visual_tower(spec), images(count, spec), texts(spec, weights, count)
    in_onnx = replace(spec, engine="onnx", precision=precision)
    return VisualScorer(tower, weights, in_onnx).score(batch, *text), VisualScorer(tower, weights, spec).score(
        batch, *text
    )


def test_a_loaded_scorer_serves_without_the_blocks_it_was_made_from() -> None:
    weights = lively_weights(TINY, contexts=1)
    scorer, batch, text = (
        VisualScorer.load(replace(TINY, engine="onnx"), weights),
        images(2, TINY),
        texts(TINY, weights, 2),
    )
    assert scorer.engine == "onnx"
    expected = VisualScorer.load(TINY, weights).score(batch, *text)
    torch.testing.assert_close(scorer.score(batch, *text).type_grid, expected.type_grid, atol=1e-5, rtol=0)


def assert_near(one: Tensor, other: Tensor, share: float) -> None:
    """Assert that ``one`` is from ``other`` by no more than a share of its length."""
    assert one.shape == other.shape
    assert one.dtype == other.dtype == torch.float32
    assert (one - other).norm() <= share * other.norm()


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: f"{spec.name}-{spec.image_size_px}")
def test_fp32_gives_what_torch_gives(spec: ModelSpec) -> None:
    made, expected = both(spec, 3, "fp32", lively_weights(spec, contexts=1))
    torch.testing.assert_close(made.type_grid, expected.type_grid, atol=1e-5, rtol=0)
    torch.testing.assert_close(made.image_scores, expected.image_scores, atol=1e-5, rtol=0)
    for mine, theirs in zip((*made.taps, *made.adapted), (*expected.taps, *expected.adapted), strict=True):
        assert_near(mine, theirs, 1e-5)


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: f"{spec.name}-{spec.image_size_px}")
def test_int8_maps_and_scores_stay_within_two_hundredths(spec: ModelSpec) -> None:
    made, expected = both(spec, 3, "int8", lively_weights(spec, contexts=1))
    assert (anomaly_grid(made.type_grid) - anomaly_grid(expected.type_grid)).abs().max() <= 0.02
    assert (made.image_scores - expected.image_scores).abs().max() <= 0.02
    for mine, theirs in zip((*made.taps, *made.adapted), (*expected.taps, *expected.adapted), strict=True):
        assert_near(mine, theirs, 0.03)
    assert not torch.equal(made.type_grid, expected.type_grid)


@pytest.mark.parametrize("count", [1, 2, 8, 16])
def test_batches_of_any_size_keep_their_order(count: int) -> None:
    made, expected = both(TINY, count, "fp32", lively_weights(TINY, contexts=1))
    torch.testing.assert_close(made.image_scores, expected.image_scores, atol=1e-5, rtol=0)
    torch.testing.assert_close(made.type_grid, expected.type_grid, atol=1e-5, rtol=0)


def test_models_without_layer_tokens_run_too() -> None:
    weights, _ = init_prompt_weights(TINY, PLATE, seed=1, layer_tokens=0)
    made, expected = both(TINY, 2, "fp32", weights.requires_grad_(False))
    torch.testing.assert_close(made.type_grid, expected.type_grid, atol=1e-5, rtol=0)


def test_int8_scores_of_an_image_do_not_depend_on_its_batch() -> None:
    weights = lively_weights(TINY, contexts=1)
    scorer = VisualScorer.load(replace(TINY, engine="onnx", precision="int8"), weights)
    batch, text = images(2, TINY), texts(TINY, weights, 2)
    # One scale for both would leave the first image a few steps of the second's range.
    batch[1] *= 100
    together, alone = scorer.score(batch, *text), scorer.score(batch[:1], text[0][:1], text[1][:1])
    torch.testing.assert_close(together.type_grid[:1], alone.type_grid, atol=1e-4, rtol=0)


@pytest.mark.parametrize("activation", [nn.GELU, None], ids=["gelu", "quick"])
def test_blocks_that_scale_their_branches_are_written_too(activation: type[nn.Module] | None) -> None:
    torch.manual_seed(0)
    kinds = {} if activation is None else {"act_layer": activation}
    blocks = nn.ModuleList(ResidualAttentionBlock(32, 2, ls_init_value=0.5, **kinds) for _ in range(2))
    embedded, tokens = torch.randn(1, 5, 32), torch.randn(2, 3, 32)
    graph = blocks_graph(blocks, tokens, 5, [1, 2], int8=False)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = [out.numpy() for out in run_with_layer_tokens(blocks.eval(), embedded, tokens)]
    for mine, theirs in zip(session.run(None, {INPUT: embedded.numpy()}), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_what_no_graph_is_written_for_runs_in_torch_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    weights = lively_weights(TINY, contexts=1)
    tower = load_visual_tower(TINY)
    tower.vit.transformer.resblocks[1].mlp.gelu = nn.SiLU()
    with caplog.at_level(logging.WARNING):
        scorer = VisualScorer(tower, weights, replace(TINY, engine="onnx", precision="int8"))
    assert "activation is SiLU" in caplog.text
    assert scorer.engine == "torch"
    batch, text = images(1, TINY), texts(TINY, weights, 1)
    expected = VisualScorer(tower, weights, TINY).score(batch, *text)
    assert torch.equal(scorer.score(batch, *text).type_grid, expected.type_grid)


def test_without_the_library_it_runs_in_torch_and_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "inspector.dapo.onnx_tower", None)  # as an import that fails leaves it
    with caplog.at_level(logging.WARNING):
        scorer = VisualScorer.load(replace(TINY, engine="onnx"), lively_weights(TINY, contexts=1))
    assert "ONNX Runtime cannot be loaded" in caplog.text
    weights = lively_weights(TINY, contexts=1)
    assert scorer.score(images(1, TINY), *texts(TINY, weights, 1)).type_grid.isfinite().all()
