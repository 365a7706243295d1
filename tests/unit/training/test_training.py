"""Tuning as a user sees it: it learns, resumes to the bit, leaves CLIP what it was, and bad runs end with a reason."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from training_kit import BOARD, PLATE, SIDE, TINY, MadeUp, example

import inspector.training.batch as batch
import inspector.training.prepared as prepared
import inspector.training.prompt_model as prompt_model
from inspector.dapo.clip import build_clip
from inspector.dapo.prompt_weights import PromptWeights, init_prompt_weights
from inspector.dapo.scorer import BatchScores, VisualScorer, anomaly_grid, pad_text, upsample
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text import encode_vocabularies
from inspector.dapo.weights_file import load_weights, save_weights
from inspector.domain.artefact import ScoreMap
from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.product import Vocabulary
from inspector.domain.scoring import ImageScore
from inspector.domain.weights import WeightsManifest
from inspector.pipeline.calibration import threshold
from inspector.training.examples import JoinedExamples, TrainingExample
from inspector.training.options import Effort, Step, TrainingOptions, TrainingStoppedError
from inspector.training.thresholds import probability_threshold
from inspector.training.trainer import Listener, train
from inspector.training.work_folder import begin_anew, clear_away
from inspector.vision.detail_net import DetailNet
from inspector.vision.preprocess import preprocess
from inspector.vision.score_map import apply_score_map
from inspector.vision.self_contrast import highest_contrast

SHORT = TrainingOptions(epochs=2, batch_size=4, seed=3)
LARGER = replace(TINY, image_size_px=2 * SIDE)


def tensors(weights: PromptWeights) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in weights.state_dict().items()}


def same(one: PromptWeights, other: PromptWeights) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def stop_after(steps: int) -> Listener:
    heard: list[Step] = []
    return Listener(step=heard.append, stop=lambda: len(heard) >= steps)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[PromptWeights, str]:
    folder = tmp_path_factory.mktemp("run")
    weights, _ = train(TINY, MadeUp(), SHORT, folder)
    return weights, (folder / "history.jsonl").read_text()


class Four:
    """Four pictures to learn by heart."""

    fingerprint = "four"
    pictures = (example(0, PLATE, ()), example(1, PLATE, (1,)), example(2, BOARD, ()), example(3, BOARD, (2, 3)))

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int, /) -> TrainingExample:
        return self.pictures[index]


@pytest.fixture(scope="module")
def by_heart(tmp_path_factory: pytest.TempPathFactory) -> tuple[PromptWeights, WeightsManifest, list[Step]]:
    heard: list[Step] = []
    options = TrainingOptions(epochs=80, batch_size=4, lr=3e-3)
    weights, manifest = train(TINY, Four(), options, tmp_path_factory.mktemp("by heart"), heard.append)
    return weights, manifest, heard


def served(weights: PromptWeights, vocabularies: Sequence[Vocabulary]) -> BatchScores:
    """Scores of the four pictures by the path that serves."""
    scorer = VisualScorer.load(TINY, weights)
    texts = encode_vocabularies(TINY, weights, vocabularies)
    images = preprocess([picture.pixels for picture in Four.pictures], scorer.mean, scorer.std)
    return scorer.score(images, *pad_text([texts[vocabulary] for vocabulary in vocabularies]))


def test_it_learns_four_pictures_by_heart(by_heart: tuple[PromptWeights, WeightsManifest, list[Step]]) -> None:
    weights, manifest, heard = by_heart
    assert heard[-1].total < heard[0].total / 5
    assert (manifest.trained, manifest.vocabulary) == (True, ("scratch", "dent", "bent lead", "stain"))
    scores = served(weights, [picture.vocabulary for picture in Four.pictures])
    for found, picture in zip(scores.type_grid.argmax(1), Four.pictures, strict=True):
        assert found.tolist() == picture.type_mask[4::8, 4::8].tolist()  # patches are 8 px, as the squares are
    good_plate, bad_plate, good_board, bad_board = scores.image_scores.tolist()
    assert bad_plate > good_plate
    assert bad_board > good_board


def test_a_new_defect_type_needs_no_training(
    by_heart: tuple[PromptWeights, WeightsManifest, list[Step]],
) -> None:
    novel = Vocabulary(("rust", "missing screw", "burr"), "bracket")  # not one word of it was seen
    found = anomaly_grid(served(by_heart[0], [novel] * 4).type_grid).flatten()
    truth = torch.tensor(np.stack([picture.type_mask[4::8, 4::8] > 0 for picture in Four.pictures])).flatten()
    assert found[truth].min() > found[~truth].max()


def test_only_prompts_change_and_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[nn.Module] = []

    def build(spec: Any) -> nn.Module:
        built.append(build_clip(spec))
        return built[-1]

    monkeypatch.setattr(prompt_model, "build_clip", build)
    weights, _ = train(TINY, MadeUp(), SHORT, tmp_path)
    (clip,) = built
    untouched = build_clip(TINY).state_dict()
    assert clip.state_dict().keys() == untouched.keys()
    assert all(torch.equal(tensor, untouched[name]) for name, tensor in clip.state_dict().items())
    fresh, _ = init_prompt_weights(TINY, Vocabulary(()), SHORT.seed)
    before = fresh.state_dict()
    assert len(before) == 4 + 2 * 4
    for name, tensor in weights.state_dict().items():
        assert not torch.equal(tensor, before[name]), f"{name} did not move"
        for part, was in zip(tensor, before[name], strict=True):  # nor did any context, layer or adapter row stay
            assert not torch.equal(part, was), f"a part of {name} did not move"


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_stopped_and_resumed_it_is_the_same_to_the_bit(
    tmp_path: Path, uninterrupted: tuple[PromptWeights, str], steps: int
) -> None:
    with pytest.raises(TrainingStoppedError) as caught:
        train(TINY, MadeUp(), SHORT, tmp_path, stop_after(steps))
    assert "step" in caught.value.got
    heard: list[Step] = []
    resumed, _ = train(TINY, MadeUp(), SHORT, tmp_path, heard.append)
    assert heard[0].step == steps + 2  # the signal is asked for while a step is made, and that step counts
    assert same(resumed, uninterrupted[0])
    assert (tmp_path / "history.jsonl").read_text() == uninterrupted[1]


def test_the_seed_decides(tmp_path: Path, uninterrupted: tuple[PromptWeights, str]) -> None:
    assert same(train(TINY, MadeUp(), SHORT, tmp_path / "again")[0], uninterrupted[0])
    other = train(TINY, MadeUp(), replace(SHORT, seed=4), tmp_path / "other")[0]
    assert not same(other, uninterrupted[0])


@pytest.mark.parametrize("kept", [(0, 0), (0, 11), (4, 3), (4, 7), (11, 0)])
def test_what_does_not_fit_the_cache_is_made_anew_with_the_same_result(
    tmp_path: Path,
    uninterrupted: tuple[PromptWeights, str],
    monkeypatch: pytest.MonkeyPatch,
    kept: tuple[int, int],
) -> None:
    monkeypatch.setattr(prepared, "share_room", lambda *_: kept)
    source = MadeUp()
    weights, _ = train(TINY, source, SHORT, tmp_path)
    assert same(weights, uninterrupted[0])
    assert source.reads == 11 + 2 * (11 - sum(kept))


@given(count=st.integers(0, 50), room=st.integers(0, 10_000), sizes=st.tuples(*[st.integers(1, 500) for _ in range(3)]))
def test_the_cache_keeps_within_its_room(count: int, room: int, sizes: tuple[int, int, int]) -> None:
    embedding, pixels, mask = sizes
    embedded, decoded = prepared.share_room(count, room, *sizes)
    assert embedded >= 0
    assert decoded >= 0
    assert embedded + decoded <= count
    used = embedded * embedding + decoded * pixels + (embedded + decoded) * mask
    assert used <= room
    if embedded < count:
        assert used + embedding + mask > room or pixels < embedding  # nothing is left out that would fit
    if embedded + decoded < count:
        assert used + pixels + mask > room or embedding <= pixels


def test_cached_examples_are_read_once_and_kept_for_the_next_run(tmp_path: Path) -> None:
    source = MadeUp()
    train(TINY, source, SHORT, tmp_path)
    assert source.reads == len(source)
    (tmp_path / "checkpoint.safetensors").unlink()
    train(TINY, source, SHORT, tmp_path)
    assert source.reads == len(source)


class Darker(MadeUp):
    """As many pictures with the same names, of other content."""

    fingerprint = "darker"

    def __getitem__(self, index: int, /) -> TrainingExample:
        made = super().__getitem__(index)
        return replace(made, pixels=made.pixels // 2)


@pytest.mark.parametrize(
    ("spec", "source"), [(TINY, Darker), (replace(TINY, seed=7), MadeUp)], ids=["other images", "another model"]
)
def test_a_run_begun_anew_takes_nothing_from_the_cache_of_another(
    tmp_path: Path, spec: ModelSpec, source: Callable[[], MadeUp]
) -> None:
    train(TINY, MadeUp(), SHORT, tmp_path / "used")
    begin_anew(tmp_path / "used")
    one = replace(SHORT, epochs=1)
    weights, _ = train(spec, source(), one, tmp_path / "used")
    assert same(weights, train(spec, source(), one, tmp_path / "new")[0])
    assert len(list((tmp_path / "used" / "cache").iterdir())) == 1  # nor does the other one stay


def test_images_at_once_change_nothing_but_rounding(tmp_path: Path, uninterrupted: tuple[PromptWeights, str]) -> None:
    weights, _ = train(TINY, MadeUp(), SHORT, tmp_path, effort=Effort(images_at_once=1))
    for name, tensor in weights.state_dict().items():
        torch.testing.assert_close(tensor, uninterrupted[0].state_dict()[name], atol=1e-4, rtol=0)


def _lose_all(parts: Any) -> Any:
    return replace(parts, dice=parts.dice * float("nan"))


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_good_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = batch.dapo_loss
    with monkeypatch.context() as broken:
        calls: list[int] = []

        def worse(*args: Any) -> Any:
            calls.append(1)
            return _lose_all(good(*args)) if len(calls) == 3 else good(*args)

        broken.setattr(batch, "dapo_loss", worse)
        with pytest.raises(InspectorError, match=r"finite loss, got nan .* step 3 of 6: use a lower --lr"):
            train(TINY, MadeUp(), SHORT, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cache", "checkpoint.safetensors", "history.jsonl", "lock", "run.json",
    ]  # fmt: skip
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 2
    weights, _ = train(TINY, MadeUp(), SHORT, tmp_path)
    assert all(torch.isfinite(tensor).all() for tensor in weights.state_dict().values())


@pytest.mark.parametrize("change", [{"lr": 0.01}, {"epochs": 3}, {"text_mode": "bidirectional"}])
def test_a_folder_of_another_run_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(TrainingStoppedError):
        train(TINY, MadeUp(), SHORT, tmp_path, stop_after(1))
    with pytest.raises(BadInputError, match=f"{next(iter(change))}.*--restart"):
        train(TINY, MadeUp(), replace(SHORT, **change), tmp_path)
    with pytest.raises(BadInputError, match="examples"):
        train(TINY, MadeUp(12), SHORT, tmp_path)


def test_a_run_that_learnt_nothing_refuses_no_other(tmp_path: Path, uninterrupted: tuple[PromptWeights, str]) -> None:
    with pytest.raises(BadInputError, match="image of a defect"):
        train(TINY, Few(0, 2), SHORT, tmp_path)
    assert (tmp_path / "run.json").exists()
    with pytest.raises(TrainingStoppedError):
        train(TINY, Darker(), replace(SHORT, lr=0.01), tmp_path, Listener(stop=lambda: True))  # among the images
    weights, _ = train(TINY, MadeUp(), SHORT, tmp_path)
    assert same(weights, uninterrupted[0])
    with pytest.raises(BadInputError, match="examples"):  # what is learnt is its own again
        train(TINY, Darker(), SHORT, tmp_path)


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    def second(_step: Step) -> None:
        with pytest.raises(BadInputError, match="another run goes on"):
            train(TINY, MadeUp(), SHORT, tmp_path)

    train(TINY, MadeUp(), SHORT, tmp_path, second)


@pytest.mark.parametrize("damage", [lambda d: d[:500], lambda d: b"", lambda d: b"\x80\x04cos\nsystem\n"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(TrainingStoppedError):
        train(TINY, MadeUp(), SHORT, tmp_path, stop_after(1))
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(BadInputError, match=r"checkpoint.*--restart"):
        train(TINY, MadeUp(), SHORT, tmp_path)


def test_beginning_anew_does_not_touch_what_another_run_works_on(tmp_path: Path) -> None:
    def second(step: Step) -> None:
        if step.step == 5:  # the first epoch's checkpoint is there
            with pytest.raises(BadInputError, match="another run goes on"):
                begin_anew(tmp_path)

    train(TINY, MadeUp(), SHORT, tmp_path, second)
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 6
    assert (tmp_path / "run.json").exists()
    begin_anew(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "lock"]
    begin_anew(tmp_path / "never was")


def test_killed_while_clearing_away_the_next_run_makes_the_cache_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: tuple[PromptWeights, str]
) -> None:
    train(TINY, MadeUp(), SHORT, tmp_path)

    def dies(folder: Path, **_: object) -> None:
        next(folder.glob("*/embeddings.npy")).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(shutil, "rmtree", dies)
        with pytest.raises(KeyboardInterrupt):
            clear_away(tmp_path)
    weights, _ = train(TINY, MadeUp(), SHORT, tmp_path)
    assert same(weights, uninterrupted[0])


def test_a_full_disk_leaves_the_last_checkpoint_and_no_part_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: tuple[PromptWeights, str]
) -> None:
    synced, fsync = iter(range(100)), os.fsync

    def full(file: int) -> None:
        if next(synced) == 4:  # run.json, index.json, history.jsonl, a checkpoint, and the next one
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(file)

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            train(TINY, MadeUp(), SHORT, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cache", "checkpoint.safetensors", "history.jsonl", "lock", "run.json",
    ]  # fmt: skip
    heard: list[Step] = []
    weights, _ = train(TINY, MadeUp(), SHORT, tmp_path, heard.append)
    assert heard[0].step == 4
    assert same(weights, uninterrupted[0])


def test_unreadable_examples_are_named_and_left_out(tmp_path: Path) -> None:
    found: list[tuple[int, tuple[str, ...]]] = []
    listener = Listener(found=lambda examples: found.append((len(examples.labels), examples.unreadable)))
    train(TINY, MadeUp(unreadable=(2, 7)), SHORT, tmp_path, listener)
    assert found == [(9, ("picture 2: it is none", "picture 7: it is none"))]


class Few:
    """Some of the made-up pictures."""

    def __init__(self, *indices: int) -> None:
        self._indices = indices
        self.fingerprint = str(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int, /) -> TrainingExample:
        return MadeUp()[self._indices[index]]


def test_good_images_alone_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="image of a defect, got 2 good ones"):
        train(TINY, Few(0, 2), SHORT, tmp_path)


class WithoutMasks(Few):
    def __getitem__(self, index: int, /) -> TrainingExample:
        made = super().__getitem__(index)
        return replace(made, segmented=not made.anomalous, type_mask=np.zeros_like(made.type_mask))


def test_without_masks_the_image_score_is_still_taught(tmp_path: Path) -> None:
    heard: list[Step] = []
    train(TINY, WithoutMasks(1, 3, 4), TrainingOptions(epochs=4, batch_size=3), tmp_path, heard.append)
    assert heard[-1].classification < heard[0].classification
    assert all(step.focal == step.dice == 0 for step in heard)


def test_training_goes_on_from_given_weights(tmp_path: Path, uninterrupted: tuple[PromptWeights, str]) -> None:
    start = init_prompt_weights(TINY, PLATE, seed=9)
    before = tensors(start[0])
    weights, _ = train(TINY, MadeUp(), replace(SHORT, epochs=1, lr=1e-5), tmp_path, start=start)
    assert all(torch.equal(before[name], tensor) for name, tensor in start[0].state_dict().items())
    for name, tensor in weights.state_dict().items():
        torch.testing.assert_close(tensor, before[name], atol=1e-4, rtol=0)


def test_thresholds_of_the_weights_one_starts_from_are_not_those_of_the_new_ones(tmp_path: Path) -> None:
    weights, manifest = init_prompt_weights(TINY, Vocabulary(("rust", "dent")), seed=9)
    start = (weights, replace(manifest, trained=True, image_threshold=0.9, pixel_threshold=0.8))
    _, made = train(TINY, MadeUp(), replace(SHORT, epochs=1), tmp_path, start=start)  # 6 good images: too few
    assert (made.image_threshold, made.pixel_threshold) == (0.5, 0.5)
    assert made.vocabulary == ("rust", "dent", "scratch", "bent lead", "stain")  # but all that was seen was seen


def test_both_text_modes_train_and_differ(tmp_path: Path, uninterrupted: tuple[PromptWeights, str]) -> None:
    options = replace(SHORT, text_mode="bidirectional")
    weights, manifest = train(TINY, MadeUp(), options, tmp_path)
    assert manifest.text_mode == "bidirectional"
    assert not same(weights, uninterrupted[0])


def test_without_layer_tokens_the_rest_is_trained_and_saved(tmp_path: Path) -> None:
    weights, manifest = train(TINY, MadeUp(), replace(SHORT, layer_tokens=0), tmp_path / "run")
    assert weights.visual_tokens.shape == (4, 0, 32)
    saved = save_weights(tmp_path / "w.safetensors", weights, manifest)
    loaded, _ = load_weights(tmp_path / "w.safetensors", TINY)
    assert saved.visual_layer_tokens == saved.text_layer_tokens == 0
    text, mask = pad_text(list(encode_vocabularies(TINY, loaded, [PLATE]).values()))
    images = preprocess([example(1, PLATE, (1,)).pixels], (0.5,) * 3, (0.5,) * 3)
    assert VisualScorer.load(TINY, loaded).score(images, text, mask).type_grid.shape == (1, 3, 4, 4)


def test_bf16_trains_near_fp32(tmp_path: Path, uninterrupted: tuple[PromptWeights, str]) -> None:
    heard: list[Step] = []
    train(TINY, MadeUp(), replace(SHORT, precision="bf16"), tmp_path, heard.append)
    exact = [json.loads(line)["total"] for line in uninterrupted[1].splitlines()]
    rough = [step.total for step in heard]
    assert rough[0] == pytest.approx(exact[0], rel=0.05)
    assert rough != exact


class Enlarged:
    """A source's pictures at twice their size, which have room for details that are held against each other."""

    def __init__(self, source: MadeUp) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int, /) -> TrainingExample:
        small = self._source[index]
        pixels, mask = (each.repeat(2, 0).repeat(2, 1) for each in (small.pixels, small.type_mask))
        return replace(small, pixels=pixels, type_mask=mask)

    @property
    def fingerprint(self) -> str:
        return f"twice {self._source.fingerprint}"


@pytest.mark.parametrize("image_score", ["cls", "mean", "contrast"])
def test_thresholds_let_the_good_training_images_pass(tmp_path: Path, image_score: ImageScore) -> None:
    """The quantiles, worked out by the path that serves; maps send them to 0.5, and the median good image to 0.1."""
    source, spec, side = JoinedExamples([Enlarged(MadeUp(20)), Enlarged(MadeUp(12))]), LARGER, 2 * SIDE
    options = replace(SHORT, epochs=6, false_alarm_rate=0.05, image_score=image_score)
    weights, manifest = train(spec, source, options, tmp_path)
    good = [example for example in (source[i] for i in range(len(source))) if not example.anomalous]
    scorer = VisualScorer.load(spec, weights)
    texts = encode_vocabularies(spec, weights, {example.vocabulary for example in good})
    images = preprocess([example.pixels for example in good], scorer.mean, scorer.std)
    scores = scorer.score(images, *pad_text([texts[example.vocabulary] for example in good]))
    maps = upsample(anomaly_grid(scores.type_grid)[:, None], side).flatten(1)
    everywhere = np.ones((side, side), np.bool_)
    details = DetailNet.load(scorer.mean, scorer.std, scorer.device)
    looks = zip(*details.looks(images), strict=True)
    contrasts = torch.tensor([highest_contrast(each, everywhere) for each in looks])
    # These two ask for all words that the weights were tuned with, not for those of an image's own class.
    tuned = Vocabulary(manifest.vocabulary)
    (words,) = encode_vocabularies(spec, weights, [tuned]).values()
    overall = scorer.score(images, *pad_text([words] * len(good)))
    means = upsample(anomaly_grid(overall.type_grid)[:, None], side).flatten(1).mean(1)
    kinds = {"cls": scores.image_scores, "mean": means, "contrast": (means * contrasts).sqrt()}
    image_scores, peaks = kinds[image_score], maps.amax(1)
    softplus = [-torch.log1p(-values.double()) for values in (image_scores, peaks)]
    wanted = [-math.expm1(-threshold(values.tolist(), 0.05)) for values in softplus]
    assert [manifest.image_threshold, manifest.pixel_threshold] == pytest.approx(wanted, abs=1e-5)
    assert manifest.image_score == image_score
    for raw, midpoint, scale in (
        (image_scores, manifest.image_threshold, manifest.image_scale),
        (peaks, manifest.pixel_threshold, manifest.pixel_scale),
    ):
        median = np.median(raw.numpy()).astype(np.float32)
        assert apply_score_map(ScoreMap(midpoint, scale), median[None]) == pytest.approx(0.1, abs=1e-3)


def test_few_good_images_that_score_near_1_leave_a_threshold_that_scores_can_exceed() -> None:
    good = [0.97, 0.98, 0.985, 0.99, 0.991, 0.993, 0.995, 0.996, 0.997, 0.998, 0.9985, 0.999, 0.9995, 0.9999]
    assert threshold(good, 0.01) > 1  # as if a score could be anything
    found = probability_threshold(good, 0.01)
    assert 0.9999 < found < 1 - 1e-6
    assert np.float32(found) < 1  # as the map is compared


@given(st.lists(st.floats(0, 1, width=32), min_size=8, max_size=30), st.floats(1e-4, 0.4))
def test_a_threshold_is_a_score_that_can_be_exceeded(good: list[float], rate: float) -> None:
    found = np.float32(probability_threshold(good, rate))
    assert 0 <= found < 1


def test_small_scores_are_extrapolated_as_they_are() -> None:
    good = [0.001 * i for i in range(1, 15)]
    assert probability_threshold(good, 0.01) == pytest.approx(threshold(good, 0.01), rel=0.02)


def test_a_quantile_is_the_same_however_scores_are_stretched() -> None:
    good = np.random.default_rng(0).uniform(0, 1, 500).tolist()
    assert probability_threshold(good, 0.01) == pytest.approx(threshold(good, 0.01), abs=1e-12)


def test_a_seed_that_torch_cannot_take_is_refused_before_anything_is_read() -> None:
    with pytest.raises(BadInputError, match="seed"):
        TrainingOptions(seed=2**64)
