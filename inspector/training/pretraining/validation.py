"""How far a model is on pictures that pretraining never saw, cheap enough to ask every few minutes.

Two kinds of pictures: rendered defects on real good frames, and scenes over photographs held out from training. Neither
is of a test folder, so checkpoints may be chosen by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.scorer import anomaly_grid, upsample
from inspector.dapo.similarity import image_probability, type_probabilities
from inspector.dapo.visual_tower import VisualTower
from inspector.domain.errors import BadInputError
from inspector.evaluation.confusion import ConfusionMeter
from inspector.evaluation.ranking import rank_images
from inspector.evaluation.type_metrics import UNKNOWN_TYPE, upsampled
from inspector.rendering.scenes import Pair
from inspector.training.synthetic_examples import SyntheticExamples
from inspector.vision.matching import Anywhere
from inspector.vision.opencv import cv2
from inspector.vision.preprocess import preprocess

Pixels = NDArray[np.uint8]

SCENES = "scenes"
MEAN = "mean"
_BATCH = 16  # even: pairs stay together
_SEED = 20_000  # of painted defects; always the same, so that two measurements differ by the model alone
# Every fourth row and column of pixels is ranked: a sixteenth of the sorting, and AUROC is a mean over pixels.
_PIXEL_STEP = 4


@dataclass(frozen=True, slots=True)
class _Picture:
    """RGB uint8 [S, S, 3] and type mask uint8 [S, S] as in ``TrainingExample``."""

    pixels: Pixels = field(repr=False)
    type_mask: Pixels = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Set:
    """``normals`` are the bank of all ``pictures``; where there are none, every second picture is its neighbour's."""

    name: str
    pictures: tuple[_Picture, ...]
    normals: tuple[Pixels, ...]


@dataclass(frozen=True, slots=True)
class _Features:
    """One batch: zero-shot image scores [B], type grids [B, 1+K, gh, gw], taps [B, gh, gw, D_v] of length 1."""

    image_scores: Tensor
    type_grid: Tensor
    taps: tuple[Tensor, ...]


class Validation:
    """Pictures with their truth, made once; ``measure`` scores any model on them.

    Of a camera's normals the first ``references`` are its bank. Each other one comes twice, as it is and with painted
    defects: detection is then asked of the same backgrounds, and nothing but the defect tells the two apart.
    """

    def __init__(
        self,
        normals: Mapping[str, Sequence[Pixels]],
        scenes: Sequence[Pair],
        types: Sequence[str],
        references: int = 8,
    ) -> None:
        """Paint the defects.

        Args:
            normals: good frames of each camera or data set by name, uint8 [S, S, 3] RGB, all of one size in a set.
            scenes: see ``rendering.scenes``; their masks number ``types``.
            types: what is painted, at most 254 words.
            references: frames of each set that no defect is painted on.

        Raises:
            BadInputError: a set has no frame beside its references, or as ``SyntheticExamples``.
        """
        self._types = tuple(types)
        self._sets = [_painted(name, frames, self._types, references) for name, frames in normals.items()]
        self._cameras = tuple(normals)
        if scenes:
            self._sets.append(_Set(SCENES, tuple(_pictures_of(scenes)), ()))

    def __len__(self) -> int:
        """Return how many pictures a measurement scores."""
        return sum(len(each.pictures) + len(each.normals) for each in self._sets)

    @torch.inference_mode()
    def measure(
        self, visual: VisualTower, weights: PromptWeights, text: Tensor, types: Sequence[str]
    ) -> dict[str, float]:
        """Return the metrics of a model in memory, all 0..1 and higher is better, named ``SET/METRIC``.

        ``zero_shot_image_auroc`` of the CLS probability, ``zero_shot_peak_auroc`` of the map's maximum,
        ``zero_shot_pixel_auroc``; ``bank_pixel_auroc`` and, for cameras, ``bank_image_auroc`` of the distance to the
        nearest patch of the normals (of the scene's other view), a mean over the taps, and ``bank_tapN_pixel_auroc``
        of each tap alone; ``type_accuracy``: of drawn regions the share whose mean type map is highest at the right
        type (chance: 1 in ``len(types)``), and ``type_recall``, the mean of that share over the types. ``mean/METRIC``
        is the mean over the cameras. What cannot be told, as of pictures that are all defective, is not there.

        Args:
            visual: any image size; pictures are resized to it. Its mode is as before afterwards.
            weights: their visual tokens and adapters are used.
            text: T, float32 [1+K, D] with rows of length 1: normal, then ``types``.
            types: words of T's rows 1..K, in order. Others than what is painted compete with it.

        Raises:
            BadInputError: a painted type has no row in T.
        """
        if missing := [name for name in self._types if name not in types] or len(text) != 1 + len(types):
            raise BadInputError(
                "a row of T for normal and for each type", f"{len(text)} rows, without {missing}", "encode all types"
            )
        model = _Model(visual, weights, text)
        # From a label of the masks to the row of T.
        rows = np.full(256, UNKNOWN_TYPE, np.uint8)
        rows[: 1 + len(self._types)] = [0, *(1 + types.index(name) for name in self._types)]
        was_training = visual.training
        visual.eval()
        try:
            found = {one.name: _measured(model, one, rows) for one in self._sets}
        finally:
            visual.train(was_training)
        flat = {f"{name}/{metric}": value for name, metrics in found.items() for metric, value in metrics.items()}
        cameras = [found[name] for name in self._cameras]
        common = [metric for metric in cameras[0] if all(metric in of_one for of_one in cameras)] if cameras else []
        return flat | {f"{MEAN}/{m}": float(np.mean([of_one[m] for of_one in cameras])) for m in common}


class _Model:
    """The model as it scores: the tower with its tokens, the adapters, T."""

    def __init__(self, visual: VisualTower, weights: PromptWeights, text: Tensor) -> None:
        self._visual = visual
        self._weights = weights
        self._text = text.to(weights.visual_tokens.device).float()

    def features(self, pixels: Sequence[Pixels]) -> _Features:
        side, grid = self._visual.shape.image_size_px, self._visual.shape.grid
        fitting = [p if len(p) == side else np.asarray(_resized(p, side), np.uint8) for p in pixels]
        images = preprocess(fitting, self._visual.mean, self._visual.std, self._text.device)
        found = self._visual(images, self._weights.visual_tokens)
        text = self._text.expand(len(images), -1, -1)
        mask = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device)
        adapted = [adapter(tap) for adapter, tap in zip(self._weights.adapters, found.taps, strict=True)]
        types = torch.stack([type_probabilities(each, text, mask) for each in adapted]).mean(0)
        return _Features(
            image_probability(found.image, text, mask),
            types.transpose(1, 2).reshape(len(images), -1, *grid),
            tuple(functional.normalize(tap.float(), dim=-1).reshape(len(tap), *grid, -1) for tap in found.taps),
        )

    def in_batches(self, pixels: Sequence[Pixels]) -> Iterator[_Features]:
        for start in range(0, len(pixels), _BATCH):
            yield self.features(pixels[start : start + _BATCH])


class _Scores:
    """What is ranked: scores of images and of sampled pixels, by metric, each beside its truth."""

    def __init__(self) -> None:
        self._ranked: dict[str, tuple[list[NDArray[np.float64]], list[NDArray[np.bool_]]]] = {}

    def add(self, metric: str, scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> None:
        values, truths = self._ranked.setdefault(metric, ([], []))
        values.append(np.asarray(scores, np.float64).ravel())
        truths.append(truth.ravel())

    def aurocs(self) -> dict[str, float]:
        found = {
            metric: rank_images(np.concatenate(values), np.concatenate(truths)).auroc.value
            for metric, (values, truths) in self._ranked.items()
        }
        return {metric: value for metric, value in found.items() if value is not None}


def _measured(model: _Model, one: _Set, rows: NDArray[np.uint8]) -> dict[str, float]:
    scores = _Scores()
    regions: ConfusionMeter | None = None
    bank = _banks(model, one.normals)
    for start in range(0, len(one.pictures), _BATCH):
        pictures = one.pictures[start : start + _BATCH]
        found = model.features([picture.pixels for picture in pictures])
        _add_zero_shot(scores, pictures, found)
        if bank:
            maps = torch.stack([matcher.distance(tap) for matcher, tap in zip(bank, found.taps, strict=True)])
            _add_distances(scores, pictures, maps)
            _add_peaks(scores, "bank_image_auroc", pictures, maps.mean(0))
        else:
            _add_distances(scores, pictures[::2], _to_neighbours(found))
        regions = regions or ConfusionMeter(found.type_grid.shape[1] - 1)
        _add_regions(regions, pictures, found, rows)
    right = {} if regions is None else dict(zip(("type_accuracy", "type_recall"), regions.types_right(), strict=True))
    return scores.aurocs() | {name: metric.value for name, metric in right.items() if metric.value is not None}


def _banks(model: _Model, normals: Sequence[Pixels]) -> list[Anywhere]:
    if not normals:
        return []
    taps = [torch.cat(parts) for parts in zip(*(found.taps for found in model.in_batches(normals)), strict=True)]
    return [_bank(tap) for tap in taps]


def _bank(tap: Tensor) -> Anywhere:
    patches = tap.flatten(0, 2)
    return Anywhere(patches, torch.zeros(len(patches), dtype=torch.long, device=patches.device))


def _to_neighbours(found: _Features) -> Tensor:
    """Return the distance [taps, B / 2, gh, gw] of each first picture's patches to the nearest of the second's."""
    return torch.stack(
        [
            torch.cat([_bank(tap[i + 1 : i + 2]).distance(tap[i : i + 1]) for i in range(0, len(tap), 2)])
            for tap in found.taps
        ]
    )


def _add_zero_shot(scores: _Scores, pictures: Sequence[_Picture], found: _Features) -> None:
    truth = np.array([picture.type_mask.any() for picture in pictures])
    maps = anomaly_grid(found.type_grid)
    scores.add("zero_shot_image_auroc", found.image_scores.cpu().numpy(), truth)
    _add_peaks(scores, "zero_shot_peak_auroc", pictures, maps)
    _add_pixels(scores, "zero_shot_pixel_auroc", pictures, maps)


def _add_distances(scores: _Scores, pictures: Sequence[_Picture], maps: Tensor) -> None:
    _add_pixels(scores, "bank_pixel_auroc", pictures, maps.mean(0))
    for number, of_tap in enumerate(maps, start=1):
        _add_pixels(scores, f"bank_tap{number}_pixel_auroc", pictures, of_tap)


def _add_peaks(scores: _Scores, metric: str, pictures: Sequence[_Picture], maps: Tensor) -> None:
    truth = np.array([picture.type_mask.any() for picture in pictures])
    scores.add(metric, maps.flatten(1).amax(1).cpu().numpy(), truth)


def _add_pixels(scores: _Scores, metric: str, pictures: Sequence[_Picture], maps: Tensor) -> None:
    sampled = [
        picture.type_mask[_PIXEL_STEP // 2 :: _PIXEL_STEP, _PIXEL_STEP // 2 :: _PIXEL_STEP] for picture in pictures
    ]
    scores.add(metric, upsample(maps[:, None], len(sampled[0]))[:, 0].cpu().numpy(), np.stack(sampled) != 0)


def _add_regions(
    regions: ConfusionMeter, pictures: Sequence[_Picture], found: _Features, rows: NDArray[np.uint8]
) -> None:
    grids = found.type_grid[:, 1:].cpu().numpy()
    for picture, grid in zip(pictures, grids, strict=True):
        truth = rows[picture.type_mask]
        if (truth % UNKNOWN_TYPE).any():
            type_scores = upsampled(grid, *truth.shape)
            regions.add(np.zeros(truth.shape, np.float32), type_scores, truth, anomalous=True)


def _painted(name: str, frames: Sequence[Pixels], types: tuple[str, ...], references: int) -> _Set:
    tested = frames[references:]
    if not tested:
        raise BadInputError(
            f"more than {references} normal frames of {name}",
            str(len(frames)),
            "give more frames",
        )
    examples = SyntheticExamples.from_frames(tested, types, len(tested), _SEED, defective=1)
    nothing = np.zeros(tested[0].shape[:2], np.uint8)
    pictures = [_Picture(frame, nothing) for frame in tested]
    pictures += [_Picture(example.pixels, example.type_mask) for example in (examples[i] for i in range(len(examples)))]
    return _Set(name, tuple(pictures), tuple(frames[:references]))


def _pictures_of(scenes: Sequence[Pair]) -> Iterator[_Picture]:
    for pair in scenes:
        first, second = (np.asarray(cv2.cvtColor(p, cv2.COLOR_BGR2RGB), np.uint8) for p in (pair.first, pair.second))
        yield _Picture(first, pair.type_mask)
        yield _Picture(second, np.zeros_like(pair.type_mask))


def _resized(pixels: Pixels, side: int) -> Pixels:
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
