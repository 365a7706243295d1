"""A pretraining run as a user meets it: the same bits however often it stops, longer on request, bad ends named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from pretraining_kit import RENDERED, SHORT, STEPS, TINY, constant, run, same, stop_after, tensors

import inspector.training.pretraining.batch as batch
import inspector.training.pretraining.objective as objective
import inspector.training.pretraining.run as loop
from inspector.dapo.clip import build_clip
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text import encode_vocabularies
from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.product import Vocabulary
from inspector.rendering.defects import DEFECT_TYPES
from inspector.rendering.scenes import Pair, render_pair
from inspector.rendering.words import kind_of
from inspector.training.model_folder import write_model_folder
from inspector.training.options import TrainingStoppedError
from inspector.training.pretraining.batch import Painter, Request, painter, step_batch
from inspector.training.pretraining.learner import Learner
from inspector.training.pretraining.options import PretrainingListener, PretrainingStep
from inspector.training.pretraining.run import Pretrained
from inspector.training.pretraining.validation import Validation


@cache
def painted(key: tuple[int, ...], size_px: int) -> Pair:
    return render_pair(key, size_px)


@pytest.fixture(autouse=True)
def _each_pair_is_painted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of a tiny run's time is painting, and the tests' runs see the same pairs."""
    for module in (batch, loop):
        monkeypatch.setattr(module, "render_pair", lambda key, size_px, _photographs, **_: painted(tuple(key), size_px))
    monkeypatch.setattr(loop, "_MOMENTS_PAIRS", 2)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pretrained, str]]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "_MOMENTS_PAIRS", 2)
        folder = tmp_path_factory.mktemp("run")
        yield run(folder), (folder / "history.jsonl").read_text()


def test_it_learns_and_everything_moves(uninterrupted: tuple[Pretrained, str]) -> None:
    made, history = uninterrupted
    steps = [json.loads(line) for line in history.splitlines()]
    assert [step["step"] for step in steps] == [1, 2, 3, 4]
    assert set(steps[0]) == {"step", *objective.LOSSES}
    assert steps[-1]["total"] < steps[0]["total"]
    assert made.manifest.trained
    assert not any(parameter.requires_grad for parameter in made.clip.parameters())
    fresh = Learner(replace(TINY, seed=SHORT.seed), DEFECT_TYPES, 1, SHORT.seed)
    before = tensors(Pretrained(fresh.clip, fresh.prompts, fresh.manifest))
    assert [name for name, tensor in tensors(made).items() if torch.equal(tensor, before[name])] == []


@pytest.mark.parametrize("steps", [1, 3])
def test_stopped_and_resumed_it_is_the_same_to_the_bit(
    tmp_path: Path, uninterrupted: tuple[Pretrained, str], steps: int
) -> None:
    with pytest.raises(TrainingStoppedError) as caught:
        run(tmp_path, listener=stop_after(steps))
    assert f"{steps} of {STEPS} steps" in caught.value.got
    assert same(run(tmp_path), uninterrupted[0])
    assert (tmp_path / "history.jsonl").read_text() == uninterrupted[1]


def test_killed_between_two_checkpoints_it_makes_those_steps_again(
    tmp_path: Path, uninterrupted: tuple[Pretrained, str]
) -> None:
    def dies(step: PretrainingStep) -> None:
        if step.step == 3:
            with (tmp_path / "validation.jsonl").open("a") as file:
                file.write('{"step": 1, "images": 4}\n{"step": 3, "images": 12}\n{"step": 3, "ima')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, listener=PretrainingListener(step=dies))
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 3
    heard: list[PretrainingStep] = []
    assert same(run(tmp_path, listener=PretrainingListener(step=heard.append)), uninterrupted[0])
    assert [step.step for step in heard] == [3, 4]  # the checkpoint is of step 2
    assert (tmp_path / "history.jsonl").read_text() == uninterrupted[1]
    assert (tmp_path / "validation.jsonl").read_text() == '{"step": 1, "images": 4}\n'


def test_a_run_that_has_not_begun_to_fall_can_be_made_longer(tmp_path: Path) -> None:
    options = constant(seed=5)
    short = run(tmp_path / "run", 2, options=options)
    longer = run(tmp_path / "run", 3, options=options)
    assert same(longer, run(tmp_path / "whole", 3, options=options))
    assert not same(longer, short)
    assert same(run(tmp_path / "run", 3, options=options), longer)  # no step is left: the model again
    with pytest.raises(BadInputError, match=r"12 images or more.*got 8.*--restart"):
        run(tmp_path / "run", 2, options=options)


def test_the_seed_decides_weights_and_pictures(uninterrupted: tuple[Pretrained, str], tmp_path: Path) -> None:
    first = Learner(replace(TINY, seed=1), DEFECT_TYPES, 8, 1)
    drawn: list[torch.Tensor] = []

    class Watched(Learner):
        def __init__(self, spec: ModelSpec, *rest: Any, **options: Any) -> None:
            super().__init__(spec, *rest, **options)
            drawn.append(self.clip.visual.conv1.weight.detach().clone())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "Learner", Watched)
        other = run(tmp_path, 1, options=replace(SHORT, seed=1))
    assert torch.equal(drawn[0], first.clip.visual.conv1.weight)
    assert not same(other, uninterrupted[0])


@pytest.mark.parametrize("change", [{"lr": 0.01}, {"pairs_a_step": 3}, {"seed": 9}])
def test_a_folder_of_another_run_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(TrainingStoppedError):
        run(tmp_path, listener=stop_after(1))
    with pytest.raises(BadInputError, match=f"{next(iter(change))}.*--restart"):
        run(tmp_path, options=replace(SHORT, **change))


def test_other_photographs_and_another_precision_are_another_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingStoppedError):
        run(tmp_path, listener=stop_after(1))
    with pytest.raises(BadInputError, match=r"precision bf16.*--restart"):
        run(tmp_path, spec=replace(TINY, precision="bf16"))
    with pytest.raises(BadInputError, match=r"teacher efficientnet-lite0.*--restart"):
        run(tmp_path, material=replace(RENDERED, teacher="efficientnet-lite0"))


@pytest.mark.parametrize("damage", [lambda d: d[:500], lambda d: b"", lambda d: b"\x80\x04cos\nsystem\n"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(TrainingStoppedError):
        run(tmp_path, listener=stop_after(1))
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(BadInputError, match=r"checkpoint.*--restart"):
        run(tmp_path)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_good_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: tuple[Pretrained, str]
) -> None:
    good, calls = objective.pair_loss, []

    def worse(*args: Any) -> torch.Tensor:
        calls.append(1)
        return good(*args) * (float("nan") if len(calls) == 3 else 1)

    with monkeypatch.context() as broken:
        broken.setattr(objective, "pair_loss", worse)
        with pytest.raises(InspectorError, match=r"finite loss, got nan at step 3: lower --lr"):
            run(tmp_path)
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 2
    assert same(run(tmp_path), uninterrupted[0])


def test_a_model_that_the_pictures_do_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"192 px or more.*96 px pictures in pretrain-tiny"):
        run(tmp_path, options=replace(SHORT, crop_px=192))
    with pytest.raises(BadInputError, match="multiple of 16"):
        run(tmp_path, options=replace(SHORT, crop_px=72))
    with pytest.raises(BadInputError, match=r"16 px patches.*got 32 px patches"):
        run(tmp_path, spec=ModelSpec("ViT-B-32"))
    assert not any(tmp_path.iterdir())


def test_validation_sees_the_averaged_model_and_is_written_down(tmp_path: Path) -> None:
    heard: list[tuple[int, dict[str, float]]] = []
    listener = PretrainingListener(validated=lambda step, metrics: heard.append((step, dict(metrics))))
    scenes = [painted((99, number), 64) for number in range(4)]
    run(tmp_path, 2, listener, material=replace(RENDERED, validation=Validation({}, scenes, DEFECT_TYPES)))
    (line,) = (tmp_path / "validation.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": 2, "images": 8, **heard[0][1]}
    assert 0 <= heard[0][1]["scenes/zero_shot_pixel_auroc"] <= 1


def test_the_learner_sees_and_reads_as_the_path_that_serves() -> None:
    learner = Learner(replace(TINY, seed=4), DEFECT_TYPES, 8, 4)
    clip: Any = build_clip(replace(TINY, seed=4))
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    types = ("scratch", "bent lead")
    with torch.no_grad():
        here, there = learner.see(images, (0, 0)), learner.visual(images, learner.prompts.visual_tokens)
        torch.testing.assert_close(here.image, there.image)
        torch.testing.assert_close(here.taps, there.taps)
        for called in ("object", "metal plate"):
            words = Vocabulary(types, called)
            served = encode_vocabularies(replace(TINY, seed=4), learner.prompts, [words])[words]
            contexts = range(len(learner.prompts.normal_context))
            torch.testing.assert_close(learner.words(types, contexts, called), served)
        captions = ["a photo of a plate", "a photo of a scratched printed board"]
        encoded = clip.encode_text(learner._tokenizer(captions))
        torch.testing.assert_close(learner.sentences(captions), encoded, atol=1e-5, rtol=1e-4)


def test_a_crop_takes_the_positions_of_its_corner() -> None:
    learner = Learner(TINY, DEFECT_TYPES, 8, 0)
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = learner.see(images, (2, 1)).image
        places = learner.clip.visual.positional_embedding[1:].view(6, 6, -1)
        places[:2], places[:, 0], places[:, 5] = 7, 7, 7  # all but rows 2-5 and columns 1-4
        assert torch.equal(learner.see(images, (2, 1)).image, before)
        assert not torch.equal(learner.see(images, (1, 1)).image, before)


def test_with_fresh_text_the_visual_tower_is_taken_and_stands_still_while_the_rate_rises(tmp_path: Path) -> None:
    made = run(tmp_path / "first")
    spec = replace(TINY, name=f"local-dir:{tmp_path / 'model'}", pretrained="bundled")
    preprocess = {"mean": list(made.clip.visual.image_mean), "std": list(made.clip.visual.image_std)}
    config = {"model_cfg": open_clip.get_model_config(TINY.name) or {}, "preprocess_cfg": preprocess}
    write_model_folder(
        tmp_path / "model", made.clip, config, (made.prompts, made.manifest), "# A card\n", name=spec.name
    )
    options = replace(SHORT, fresh_text=True, seed=8)
    begun = tensors(run(tmp_path / "still", 2, spec=spec, options=options))
    gone_on = tensors(run(tmp_path / "on", 4, spec=spec, options=options))
    taken = tensors(made)
    looks = [name for name in taken if name.startswith(("visual.", "prompts.visual_tokens")) and name != "visual.proj"]
    for name in looks:  # but for weight decay, and fp16 on the way
        torch.testing.assert_close(begun[name], taken[name], atol=5e-4, rtol=2e-3, msg=name)
        assert not torch.equal(gone_on[name], begun[name]), name
    for name in ("token_embedding.weight", "prompts.abnormal_context", "prompts.adapters.0.weight"):
        assert (begun[name] - taken[name]).norm() > 0.5 * taken[name].norm(), name
    assert (begun["visual.proj"] - taken["visual.proj"]).abs().max() > 1e-3


def test_a_step_numbers_its_words_as_its_masks() -> None:
    pairs = [painted((3, number), 64) for number in range(8)]
    made = step_batch(pairs, 0, 3, 6, 16, 5)
    assert made.pictures.shape == (16, 3, 64, 64)
    assert made.pictures[8, 0, 0, 0] * 255 == pairs[0].second[0, 0, 2]  # RGB, out of BGR
    assert len(made.captions) == 16
    assert made.captions[:8] == tuple(pair.caption for pair in pairs)
    assert max(made.corner) <= 2
    assert len(made.words) == len(set(made.words)) == 20
    for pair, mask in zip(pairs, made.type_mask, strict=True):
        for kind in set(pair.type_mask[pair.type_mask > 0].tolist()) - {255}:
            (row,) = mask[torch.from_numpy(pair.type_mask == kind)].unique().tolist()
            assert made.words[row - 1] in batch.words_of(DEFECT_TYPES[kind - 1]) or kind_of(made.words[row - 1]) is None
        assert torch.equal(mask == 0, torch.from_numpy(pair.type_mask == 0))
    assert all(kind_of(word) is None for word in made.words[-4:])
    assert made.type_mask[made.type_mask != 255].max() <= len(made.words) - 4
    again = step_batch(pairs, 0, 3, 6, 16, 5)
    for name in ("words", "object_word", "corner", "contexts"):
        assert getattr(again, name) == getattr(made, name)
    assert step_batch(pairs, 1, 3, 6, 16, 5).words != made.words


def test_a_type_goes_by_a_word_that_means_nothing_now_and_then() -> None:
    pairs = [painted((3, number), 64) for number in range(8)]
    steps = [step_batch(pairs, step, 3, 6, 16, 5) for step in range(150)]
    strange = [[row for row, word in enumerate(step.words, 1) if kind_of(word) is None] for step in steps]
    assert {len(rows) for rows in strange} == {1, 4}
    assert 0.15 < sum(len(rows) == 1 for rows in strange) / len(strange) < 0.45
    for step, rows in zip(steps, strange, strict=True):  # one alone stands for a type that is shown, four for none
        assert bool(torch.isin(step.type_mask, torch.tensor(rows)).any()) == (len(rows) == 1)


def test_painters_in_other_processes_give_the_same_pairs_in_order() -> None:
    requests = [Request(step, (step,), 64) for step in range(6)]
    with painter(None, 3, 1) as ahead:
        theirs = list(ahead.pairs(iter(requests)))
    for (asked, pairs), (request, ours) in zip(theirs, Painter(None, 3).pairs(iter(requests)), strict=True):
        assert asked == request
        for one, other in zip(pairs, ours, strict=True):
            assert one.first.tobytes() == other.first.tobytes()
            assert one.type_mask.tobytes() == other.type_mask.tobytes()
            assert one.second.tobytes() == other.second.tobytes()
            assert (one.surface, one.caption) == (other.surface, other.caption)


def test_a_painter_that_was_killed_is_a_problem_with_a_remedy() -> None:
    class Broken:
        def submit(self, *_: object) -> Any:
            raise BrokenProcessPool

    class Dead:
        def submit(self, *_: object) -> Dead:
            return self

        def result(self) -> Pair:
            raise BrokenProcessPool

    for pool in (Broken(), Dead()):
        with pytest.raises(InspectorError, match="--render-processes"):
            list(Painter(None, 3, pool).pairs(iter([Request(0, (0,), 64)])))  # type: ignore[arg-type]  # a stand-in


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    def second(_step: PretrainingStep) -> None:
        with pytest.raises(BadInputError, match="another run goes on"):
            run(tmp_path)

    run(tmp_path, 1, PretrainingListener(step=second))


def test_patches_that_are_not_looked_at_change_nothing() -> None:
    learner = Learner(TINY, DEFECT_TYPES, 8, 0)
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    seen = torch.tensor([[0, 5, 6, 15]])
    with torch.no_grad():
        few, whole = learner.see(images, (1, 1), seen), learner.see(images, (1, 1))
        assert [tap.shape[1] for tap in few.taps] == [4] * 4
        assert not torch.equal(few.image, whole.image)
        images[..., 16:32, :16] = 7  # patch 4 of 4 x 4
        assert torch.equal(learner.see(images, (1, 1), seen).image, few.image)
        assert torch.equal(learner.see(images, (1, 1), seen).taps[-1], few.taps[-1])
        images[..., 16:32, 16:32] = 7  # patch 5
        assert not torch.equal(learner.see(images, (1, 1), seen).image, few.image)


def test_a_step_draws_other_patches_of_each_picture_and_as_many_as_asked() -> None:
    pairs = [painted((3, number), 96) for number in range(2)]
    seen = step_batch(pairs, 0, 3, 6, 16, 5, 0.5).seen
    assert seen is not None
    assert seen.shape == (4, 16)  # the square next to half of 36
    assert all(len(set(row)) == 16 and row == sorted(row) and row[0] >= 0 and row[-1] < 36 for row in seen.tolist())
    assert len({tuple(row) for row in seen.tolist()}) == 4
    assert step_batch(pairs, 0, 3, 6, 16, 5, 1.0).seen is None


def test_a_model_that_is_there_can_be_gone_on_with(tmp_path: Path) -> None:
    made = run(tmp_path / "first", 1)
    folder = tmp_path / "model"
    visual: Any = made.clip.visual
    pixels = {"mean": list(visual.image_mean), "std": list(visual.image_std)}
    config = {"model_cfg": open_clip.get_model_config(TINY.name) or {}, "preprocess_cfg": pixels}
    name = f"local-dir:{folder}"
    write_model_folder(folder, made.clip, config, (made.prompts, made.manifest), "# A card\n", name=name)
    going_on = Learner(replace(TINY, name=name, pretrained="bundled"), DEFECT_TYPES, 8, 77)
    before = tensors(made)
    found = tensors(Pretrained(going_on.clip, going_on.prompts, going_on.manifest))
    assert {name for name in before if not torch.allclose(before[name], found[name], atol=2e-3)} == set()
