"""Training a model that types regions: regions as scenes have them, the same bits however often it stops."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pretraining_kit import SAVING, TINY, same, tensors

import inspector.training.pretraining.batch as batch
from inspector.dapo.spec import ModelSpec
from inspector.domain.errors import BadInputError
from inspector.rendering.defects import DEFECT_TYPES
from inspector.rendering.scenes import Pair, render_pair
from inspector.rendering.scenes.scene import ARTWORK_SHARE
from inspector.rendering.synthetic import UNKNOWN_TYPE
from inspector.training.options import TrainingStoppedError
from inspector.training.pretraining.run import Pretrained
from inspector.training.processes import Processes
from inspector.training.region_types.learner import WORD_PROMPTS, TypeLearner, Words
from inspector.training.region_types.looks import NORMAL, Region, alike, drawn, normal_regions, pieces_of, regions_of
from inspector.training.region_types.options import TypingListener, TypingOptions, TypingStep
from inspector.training.region_types.run import SCENE_PX, Material, measure, train_typer
from inspector.vision.line_artwork import lines_are_light, with_light_lines
from inspector.vision.opencv import cv2

SHAPE = (96, 16)
TYPER = ModelSpec("types-tiny")  # the trunk of the bundled one at 64 px, few words
SHORT = TypingOptions(looks_a_step=8, block_scenes=4, block_steps=2, warmup_steps=2, seed=3)
STEPS = 5
FRESH = Material(None, "fresh weights")


@cache
def painted(key: tuple[int, ...], defective: float = 1, artwork: float = ARTWORK_SHARE) -> Pair:
    return render_pair(key, SCENE_PX, defective=defective, artwork=artwork)


@pytest.fixture(autouse=True)
def _each_scene_is_painted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "render_pair", lambda key, *_, **how: painted(tuple(key), **how))


def seen(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A rendered picture as serving sees it."""
    pixels = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
    return with_light_lines(pixels, lines_are_light(pixels))


def run(
    folder: Path,
    steps: int = STEPS,
    listener: TypingListener | None = None,
    *,
    options: TypingOptions = SHORT,
    **more: Any,
) -> Pretrained:
    material, spec = more.get("material", FRESH), more.get("spec", TYPER)
    heard = listener or TypingListener()
    return train_typer(spec, material, options, steps, folder, heard, SAVING, Processes())


def stop_after(steps: int) -> TypingListener:
    """Ask to stop once so many steps are made: the next one is the last, or none while scenes are painted for it."""
    heard: list[TypingStep] = []
    return TypingListener(step=heard.append, stop=lambda: len(heard) >= steps)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pretrained, str]:
    folder = tmp_path_factory.mktemp("run")
    return run(folder), (folder / "history.jsonl").read_text()


def test_pieces_of_one_type_that_lie_close_are_one_region_and_what_has_no_type_is_none() -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[20:24, 20:40], mask[20:24, 46:60] = 3, 3  # a scratch that fades between
    mask[200:210, 200:210] = 3
    mask[100:110, 100:110] = UNKNOWN_TYPE
    mask[150, 150:153] = 5  # three pixels show nothing
    mask[60:70, 60:70] = 7
    found = [(label, int(inside.sum())) for inside, label in pieces_of(mask)]
    assert sorted(found) == [(3, 100), (3, 4 * 34), (7, 100)]


def test_regions_show_the_scene_as_it_was_painted_and_normal_ones_lie_where_nothing_is() -> None:
    pairs = [painted((1, n)) for n in range(6)]
    regions, normal = list(regions_of(pairs)), list(normal_regions(np.random.default_rng(0), pairs))
    assert {region.kind for region in regions} <= set(range(1, 1 + len(DEFECT_TYPES)))
    for region in regions:
        pair = next(p for p in pairs if np.array_equal(seen(p.first), region.pixels))
        assert set(pair.type_mask[region.inside > 0]) == {region.kind}
    assert {region.kind for region in normal} == {NORMAL}
    assert all(region.inside.any() for region in normal)
    seconds = [seen(p.second) for p in pairs]
    assert all(any(np.array_equal(region.pixels, second) for second in seconds) for region in normal)


def test_lines_stay_light_and_other_surfaces_are_seen_as_negatives_too() -> None:
    """A bite out of a dark line is the picture of a spur at a light one."""
    picture = np.full((256, 256, 3), 40, np.uint8)
    picture[:, 112:144] = 200
    inside = np.zeros((256, 256), np.uint8)
    inside[120:136, 120:136] = 1

    def darker(artwork: bool) -> int:
        looks = drawn(np.random.default_rng(0), [Region(picture, inside, 1, artwork)], [], (40, 0), SHAPE)
        grey = looks.pictures.mean(1)
        return sum(float(look[40:56, 40:56].mean()) < float(look.mean()) for look in grey)

    assert darker(artwork=True) == 0
    assert 0 < darker(artwork=False) < 40


def test_rare_types_are_drawn_as_often_as_common_ones() -> None:
    blank, dot = np.zeros((64, 64, 3), np.uint8), np.ones((64, 64), np.uint8)
    regions = [Region(blank, dot, 1)] * 30 + [Region(blank, dot, 2)] * 3
    assert alike(regions).sum() == pytest.approx(1)
    rng = np.random.default_rng(0)
    kinds = Counter(drawn(rng, regions, [Region(blank, dot, NORMAL)], (400, 100), SHAPE).kinds.tolist())
    assert kinds[NORMAL] == 100
    assert 150 < kinds[1] < 250
    assert 150 < kinds[2] < 250


def test_looks_are_the_same_for_the_same_generator_and_each_is_another() -> None:
    regions = list(regions_of([painted((1, 0)), painted((1, 1))]))
    one, again, other = (drawn(np.random.default_rng(seed), regions, [], (6, 0), SHAPE) for seed in (4, 4, 5))
    assert torch.equal(one.pictures, again.pictures)
    assert torch.equal(one.share, again.share)
    assert not torch.equal(one.pictures, other.pictures)
    assert one.pictures.shape == (6, 3, 96, 96)
    assert one.share.shape == (6, 6, 6)
    assert float(one.pictures.min()) >= 0
    assert float(one.pictures.max()) <= 1
    assert (one.share.flatten(1).amax(1) > 0).all()  # however a look is moved, the region is in it


def test_it_learns_and_everything_that_is_used_moves(uninterrupted: tuple[Pretrained, str]) -> None:
    made, history = uninterrupted
    steps = [json.loads(line) for line in history.splitlines()]
    assert [step["step"] for step in steps] == [1, 2, 3, 4, 5]
    assert made.manifest.trained
    fresh = TypeLearner(replace(TYPER, seed=SHORT.seed), DEFECT_TYPES, SHORT.seed)
    before = tensors(Pretrained(fresh.clip, fresh.prompts, fresh.manifest))
    still = {name for name, tensor in tensors(made).items() if torch.equal(tensor, before[name])}
    # No sentences are compared, a convolutional tower takes no tokens, and BatchNorm keeps its statistics.
    statistics = {name for name in before if name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    assert len(statistics) == 3 * 49
    assert still == {"logit_scale", "prompts.visual_tokens", *statistics}


@pytest.mark.parametrize(("asked", "made"), [(0, 0), (1, 2), (2, 2), (3, 4)])
def test_stopped_and_resumed_it_is_the_same_to_the_bit(
    tmp_path: Path, uninterrupted: tuple[Pretrained, str], asked: int, made: int
) -> None:
    with pytest.raises(TrainingStoppedError) as caught:
        run(tmp_path, listener=stop_after(asked))
    assert f"{made} of {STEPS} steps" in caught.value.got
    assert same(run(tmp_path), uninterrupted[0])
    assert (tmp_path / "history.jsonl").read_text() == uninterrupted[1]


@pytest.mark.parametrize("change", [{"lr": 0.01}, {"looks_a_step": 9}, {"seed": 9}, {"normal_share": 0.5}])
def test_a_folder_of_another_run_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(TrainingStoppedError):
        run(tmp_path, listener=stop_after(1))
    with pytest.raises(BadInputError, match=f"{next(iter(change))}.*--restart"):
        run(tmp_path, options=replace(SHORT, **change))


def test_fewer_looks_than_were_had_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingStoppedError):
        run(tmp_path, listener=stop_after(3))
    with pytest.raises(BadInputError, match=r"32 looks or more.*got 16.*--restart"):
        run(tmp_path, 2)


def test_it_begins_with_the_trunk_and_the_words_it_is_given(tmp_path: Path) -> None:
    other = TypeLearner(replace(TYPER, seed=7), DEFECT_TYPES, 7)
    trunk = {name: tensor.clone() for name, tensor in other.clip.visual.trunk.state_dict().items()}
    trunk["bn1.running_var"] += 1
    clip = {name: tensor for name, tensor in other.clip.state_dict().items() if not name.startswith("visual.")}
    words = Words(clip, {name: getattr(other.prompts, name) for name in WORD_PROMPTS}, "of a test")
    options = replace(SHORT, lr=1e-9, weight_decay=0)
    made = run(tmp_path, 1, options=options, material=replace(FRESH, trunk=trunk, words=words))
    found, theirs = tensors(made), tensors(Pretrained(other.clip, other.prompts, other.manifest))
    begun = {**theirs, **{f"visual.trunk.{name}": tensor for name, tensor in trunk.items()}}
    same = {name for name, tensor in found.items() if torch.allclose(tensor, begun[name], atol=1e-7)}
    assert found.keys() - same == {"visual.head.proj.weight", "prompts.adapters.0.weight", "prompts.adapters.0.bias"}


def test_words_of_another_shape_are_refused() -> None:
    learner = TypeLearner(TYPER, DEFECT_TYPES, 0)
    clip = {name: tensor for name, tensor in learner.clip.state_dict().items() if not name.startswith("visual.")}
    prompts = {name: getattr(learner.prompts, name) for name in WORD_PROMPTS}
    prompts["text_tokens"] = torch.zeros(4, 4, 32)
    with pytest.raises(BadInputError, match=r"with text_tokens \[1, 4, 8\], got \[4, 4, 32\].*leave out --words-of"):
        learner.take_words(Words(clip, prompts, "of a test"))


def test_a_vision_transformer_types_no_regions(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"EfficientNet-Lite0, got a vision transformer"):
        run(tmp_path, spec=TINY)


def test_validation_tells_types_right_and_defects_from_normal() -> None:
    learner = TypeLearner(TYPER, DEFECT_TYPES, 0)
    pairs = [painted((1, n)) for n in range(4)]
    regions, normal = list(regions_of(pairs)), list(normal_regions(np.random.default_rng(0), pairs))
    with torch.no_grad():
        found = measure(learner, regions, normal)
        assert found.keys() == {"type_accuracy", "type_recall", "defect_auroc"}
        assert all(0 <= value <= 1 for value in found.values())
        assert measure(learner, regions, []).keys() == {"type_accuracy", "type_recall"}
