"""Each engine and precision that can run here, on the same frames in turn: how fast, and how far from torch fp32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inspector.apps import model_wiring
from inspector.apps.bench.measure import Cost, median_cost, spent
from inspector.dapo.engine import fastest
from inspector.dapo.scorer import VisualScorer, anomaly_grid, pad_text
from inspector.dapo.spec import Engine, ModelSpec, ServingPrecision
from inspector.dapo.text import encode_vocabularies
from inspector.dapo.visual_tower import load_visual_tower
from inspector.domain.errors import BadInputError
from inspector.domain.product import ProductSettings
from inspector.settings import Settings
from inspector.vision.preprocess import preprocess

MAX_MAP_DIFFERENCE = 0.02
"""How far an anomaly map (0..1) may be from the one of torch at fp32 for the engine to serve by itself."""
_MAX_ROUNDS = 5  # of several seconds each where a precision is not the processor's own
_NOTICEABLE = 1.1


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One choice. ``ratio`` is its speed over torch at fp32; ``map_difference`` its largest of a batch of frames."""

    engine: Engine
    precision: ServingPrecision
    cost: Cost
    ratio: float
    map_difference: float
    in_use: bool

    @property
    def name(self) -> str:
        """Engine and precision."""
        return f"{self.engine} {self.precision}"


def measure_engines(settings: Settings, pixels: Sequence[NDArray[np.uint8]], repeats: int) -> tuple[EngineRow, ...]:
    """Measure what can run here on one batch of frames, torch at fp32 first; in turns, so that a drift hits all."""
    chosen = model_wiring.model_spec(settings)
    weights, manifest = model_wiring.prompt_weights(settings)
    vocabulary = ProductSettings().vocabulary
    text = encode_vocabularies(chosen, weights, [vocabulary], manifest.text_mode)[vocabulary]
    padded, mask = pad_text([text] * len(pixels))
    specs = choices(chosen)
    tower = load_visual_tower(chosen)
    scorers = [VisualScorer(tower, weights, spec) for spec in specs]
    images = preprocess(pixels, scorers[0].mean, scorers[0].std, scorers[0].device)

    def maps_of(scorer: VisualScorer) -> Tensor:
        return anomaly_grid(scorer.score(images, padded, mask).type_grid).cpu()  # a GPU has to finish

    maps = [maps_of(scorer) for scorer in scorers]
    rounds = [[spent(lambda s=s: maps_of(s), len(pixels)) for s in scorers] for _ in range(min(repeats, _MAX_ROUNDS))]  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    costs = [median_cost(taken) for taken in zip(*rounds, strict=True)]
    return tuple(
        EngineRow(
            engine=scorer.engine,
            precision=spec.precision,
            cost=cost,
            ratio=costs[0].wall_ms / cost.wall_ms,
            map_difference=(found - maps[0]).abs().max().item(),
            in_use=spec == chosen,
        )
        for spec, scorer, cost, found in zip(specs, scorers, costs, maps, strict=True)
    )


def choices(spec: ModelSpec) -> list[ModelSpec]:
    """Return the model in each engine and precision that can run on its device, torch at fp32 first."""
    found = []
    for engine in get_args(Engine):
        for precision in get_args(ServingPrecision):
            try:
                found.append(fastest(spec, precision, engine))
            except BadInputError:
                continue
    return found


def verdict(rows: Sequence[EngineRow]) -> str | None:
    """Say what would be noticeably faster than the choice in use and near enough, or that this is too far off."""
    used = next((row for row in rows if row.in_use), None)
    if used is None:
        return None
    if used.map_difference > MAX_MAP_DIFFERENCE:
        return f"maps of {used.name} are up to {used.map_difference:.3f} from those of torch fp32: set model.precision"
    near = [row for row in rows if row.map_difference <= MAX_MAP_DIFFERENCE]
    best = max(near, key=lambda row: row.ratio)
    if best.ratio < _NOTICEABLE * used.ratio:
        return None
    return (
        f"the model runs in {used.name}, {best.name} is {best.ratio / used.ratio:.1f} times as fast here: "
        f"set model.engine to {best.engine} and model.precision to {best.precision}"
    )
