"""How levels and the zero-shot map should share a score: ``python tests/bench/level_shares.py SETS... --cache FOLDER``.

What a model sees is cached once (``scoring_cache.py``), and so are the distances of each level; a share then costs a
weighted sum. Prints image and pixel AUROC of every set and their mean over the sets, means of ``--draws`` draws: of
banks of ``--shots`` normal images, and of streams of 29 normal and 3 defective frames that nobody labelled. First each
level alone, which a mixture has to beat; then what ``bank_levels`` ``detail`` mixes where parts lie loosely and where
they lie anywhere, ``coarse``, and the mixtures of ``--try``. The image score is the mean of the highest 0.5 % of the
map, but for zero-shot ``cls`` and ``map``.

    python tests/bench/level_shares.py ball_screw/ cookie/ --cache /tmp/cache --try texture=1,zero_shot=0.5
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scoring_cache import Cached, cache, load
from torch import Tensor
from torch.nn import functional

from inspector.apps.evaluate.plan import in_order_of
from inspector.datasets.sample import Sample
from inspector.domain.scoring import ScoringSettings
from inspector.settings import Settings
from inspector.settings.sections import ModelSettings
from inspector.vision.bank_features import (
    DETAIL,
    TEXTURE,
    ZERO_SHOT,
    chosen_levels,
    counting_levels,
    finest_grid,
    level_shares,
    of_length_one,
    resize_scores,
)
from inspector.vision.mutual import fit_measure, lies_in_place, usual
from inspector.vision.normal_map import logit_of
from inspector.vision.reference_bank import build_level

TAPS = ("early", "lower", "upper", "late")
LEVELS = (*TAPS, DETAIL, TEXTURE, ZERO_SHOT)
GOOD, BAD = 29, 3
SCORING = ScoringSettings()


@dataclass(frozen=True, slots=True)
class Draw:
    """Standardised maps [N, rows, columns] of each level on the finest grid, and which images they are of."""

    maps: Mapping[str, Tensor]
    images: Tensor


def features(seen: Cached, images: Tensor) -> dict[str, Tensor]:
    """Return the features [N, rows, columns, D] of each level of some images."""
    found = {name: of_length_one(tap[images]) for name, tap in zip(TAPS, seen.taps, strict=True)}
    found[DETAIL] = seen.details[images].float()
    anomalous = seen.probabilities[images, :, 1:].sum(2).mean(1)
    return {**found, TEXTURE: seen.texture[images], ZERO_SHOT: logit_of(anomalous)[..., None]}


@torch.inference_mode()
def bank_draw(seen: Cached, shots: int, seed: int) -> Draw:
    """Score all test images against a bank of normal training images."""
    normal = [Sample(Path(name), seen.name, "train", name=name) for name in seen.names[: int(seen.train.sum())]]
    place = {name: number for number, name in enumerate(seen.names)}
    shown = torch.tensor([place[sample.name] for sample in in_order_of(seed, normal)[:shots]])
    images = (~seen.train).nonzero()[:, 0]
    references, queries = features(seen, shown), features(seen, images)
    maps = {}
    for name in LEVELS:
        level = build_level(name, references[name], SCORING)
        maps[name] = (level.distance(queries[name]) - level.mean) / level.std
    return Draw(on_one_grid(maps), images)


@torch.inference_mode()
def mutual_draw(seen: Cached, seed: int) -> Draw:
    """Score a ring of frames against each other."""
    drawn = random.Random(seed)
    good, bad = ((seen.anomalous == kind).nonzero()[:, 0].tolist() for kind in (False, True))
    images = torch.tensor(drawn.sample(good, GOOD) + drawn.sample(bad, BAD))
    values = features(seen, images)
    measure = fit_measure(values, lies_in_place(values, SCORING.mutual_keep))
    found = measure.distances(values, values, torch.arange(len(images)), SCORING.mutual_keep)
    scale = usual(found).levels
    return Draw(on_one_grid({name: (each - scale[name][0]) / scale[name][1] for name, each in found.items()}), images)


def on_one_grid(maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return maps on the grid of the finest of them."""
    grid = finest_grid(maps.values())
    return {name: resize_scores(each, grid) for name, each in maps.items()}


def mixed(draw: Draw, shares: Mapping[str, float]) -> Tensor:
    """Return the weighted mean of a draw's maps."""
    return torch.stack([share * draw.maps[name] for name, share in shares.items()]).sum(0) / sum(shares.values())


def image_scores(maps: Tensor, fraction: float = SCORING.peak_fraction) -> Tensor:
    """Return the image scores [N] of maps [N, rows, columns]."""
    flat = maps.flatten(1)
    return flat.topk(max(1, round(fraction * flat.shape[1])), 1).values.mean(1)


def image_auroc(scores: Tensor, anomalous: Tensor) -> float:
    """Return the share of pairs in which the anomalous image scores higher."""
    above = scores[anomalous][:, None] > scores[~anomalous][None]
    return float(above.float().mean())


def pixel_auroc(maps: Tensor, masks: Tensor) -> float:
    """Return the pixel AUROC at half the masks' size, of scores in 4,000 bins of equal counts."""
    side = masks.shape[-1] // 2
    fine = functional.interpolate(maps[:, None], (side, side), mode="bilinear", align_corners=False)[:, 0]
    truth = masks[:, ::2, ::2]
    sample = fine.flatten()[:: max(1, fine.numel() // 200_000)]
    bins = torch.bucketize(fine, torch.quantile(sample, torch.linspace(0, 1, 4000)).unique())
    hit, missed = (torch.bincount(bins[kind], minlength=4001).double() for kind in (truth, ~truth))
    below = missed.cumsum(0) - missed
    return float((hit * (below + missed / 2)).sum() / (hit.sum() * missed.sum()))


def row(title: str, draws: Mapping[str, Sequence[Draw]], sets: Mapping[str, Cached], shares: dict[str, float]) -> None:
    """Print one mixture."""
    values = []
    for name, seen in sets.items():
        found = [(mixed(draw, shares), draw.images) for draw in draws[name]]
        image = [image_auroc(image_scores(maps), seen.anomalous[images]) for maps, images in found]
        pixel = [pixel_auroc(maps, seen.masks[images]) for maps, images in found]
        values.append((np.mean(image), np.mean(pixel)))
    show(title, values)


def show(title: str, values: Sequence[tuple[float, float]]) -> None:
    """Print image and pixel AUROC of each set, and their means."""
    cells = "  ".join(f"{image:.3f}/{pixel:.3f}" for image, pixel in (*values, np.mean(values, 0)))
    print(f"{title:58} {cells}", flush=True)


def zero_shot_rows(sets: Mapping[str, Cached]) -> None:
    """Print what the test images score with neither bank nor neighbours, by the set's words and the default ones."""
    for words, prefix in (("own words", ""), ("default words", "default_")):
        rows: dict[str, list[tuple[float, float]]] = {}
        for seen in sets.values():
            test = ~seen.train
            maps = getattr(seen, f"{prefix}probabilities")[test][:, :, 1:].sum(2).mean(1)
            cls, anomalous = getattr(seen, f"{prefix}cls")[test], seen.anomalous[test]
            pixel = pixel_auroc(maps, seen.masks[test])
            scores = {"cls": cls} | {f"map {top:.3f}": image_scores(maps, top) for top in (0.005, 0.01, 0.02, 0.05)}
            scores |= {f"cls + map {top:.3f}": cls + image_scores(maps, top) for top in (0.01, 0.02)}
            for title, each in scores.items():
                rows.setdefault(title, []).append((image_auroc(each, anomalous), pixel))
        for title, values in rows.items():
            show(f"zero-shot, {words}: {title}", values)


def parsed(text: str) -> dict[str, float]:
    """Return the shares that ``early=.1,texture=.8`` names."""
    return {name: float(share) for name, share in (part.split("=") for part in text.split(","))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="a folder for each model and number of tiles")
    parser.add_argument("--model", default=None, help="model.name; default: as the settings have it")
    parser.add_argument("--pretrained", default="local", help="model.pretrained, where --model is given")
    parser.add_argument("--weights", type=Path, default=None, help="model.weights, where --model is given")
    parser.add_argument("--shots", type=int, default=16)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--tiles", type=int, default=1, help="a side, in which images are seen")
    parser.add_argument("--try", dest="mixtures", action="append", default=[], type=parsed)
    asked = parser.parse_args()
    model = {} if asked.model is None else {"name": asked.model, "pretrained": asked.pretrained}
    settings = Settings(model=ModelSettings(**model, weights=asked.weights))
    sets = {name: load(asked.cache, name) for name in cache(settings, asked.sets, asked.cache, asked.tiles)}
    print(f"image/pixel AUROC: {', '.join(sets)}, mean")
    zero_shot_rows(sets)
    for kind in ("bank", "mutual"):
        draws = {name: all_draws(seen, kind, asked.cache, asked.shots, asked.draws) for name, seen in sets.items()}
        for shares in ({name: 1.0} for name in LEVELS):
            row(f"{kind}: {next(iter(shares))} alone", draws, sets, shares)
        # Parts that lie loosely, and anywhere; what is usual at each place of parts that stand still is not measured.
        states = [
            counting_levels(chosen_levels("detail", "zero_shot"), in_place=here, finer=False) for here in (True, False)
        ]
        served = [level_shares(levels) for levels in (*states, chosen_levels("coarse", "zero_shot"))]
        for shares in (*served, *asked.mixtures):
            row(f"{kind}: " + " ".join(f"{name}={share:.3g}" for name, share in shares.items()), draws, sets, shares)


def all_draws(seen: Cached, kind: str, folder: Path, shots: int, count: int) -> list[Draw]:
    """Return the draws of a set, from the cache where they are there."""
    found = []
    for seed in range(count):
        path = folder / f"{kind}-{shots if kind == 'bank' else GOOD + BAD}-{seen.name}-{seed}.pt"
        if not path.exists():
            draw = bank_draw(seen, shots, seed) if kind == "bank" else mutual_draw(seen, seed)
            torch.save({"maps": dict(draw.maps), "images": draw.images}, path)
        found.append(Draw(**torch.load(path, weights_only=True)))
    return found


if __name__ == "__main__":
    main()
