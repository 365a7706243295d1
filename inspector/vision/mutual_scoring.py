"""The frames of a batch against their cameras' last frames, and a whole set of frames against each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inspector.domain.errors import BadInputError
from inspector.domain.product import ProductSettings
from inspector.domain.result import ScoreMode
from inspector.domain.scoring import ScoringSettings
from inspector.vision.bank_features import FINE, chosen_levels
from inspector.vision.frame_look import Look, frame_look
from inspector.vision.mutual_ring import MutualFrame, MutualRing, MutualScore, ToMaps, to_held
from inspector.vision.mutual_rings import MutualRings
from inspector.vision.plan import Plan
from inspector.vision.score_map import ScoreMaps


@dataclass(frozen=True, slots=True)
class Scored:
    """Raw image score and map, float32 [S, S], of one frame, and how they came about."""

    image_score: float
    anomaly_map: NDArray[np.float32] = field(repr=False)
    mode: ScoreMode
    score_maps: ScoreMaps | None = None


def mutual_scores(
    rings: MutualRings,
    plans: Sequence[Plan],
    features: Mapping[str, Tensor],
    digests: Sequence[str],
    pixels: Sequence[NDArray[np.uint8]],
    to_maps: ToMaps,
    finer: Collection[int] = frozenset(),
) -> dict[int, Scored]:
    """Return what the frames of mode mutual score, by position; not there: frames of cameras with too few.

    ``features`` [B, rows, columns, D] by level, of ``pixels``, uint8 [S, S, 3] each. Frames of a camera and product in
    a batch are each other's neighbours. ``finer``: the positions whose features of the level FINE are theirs.
    """
    streams: dict[tuple[str, str], list[int]] = {}
    for i, plan in enumerate(plans):
        if plan.mode is ScoreMode.MUTUAL:
            streams.setdefault((plan.camera_id, plan.product_name), []).append(i)
    found: dict[int, Scored] = {}
    theirs = {True: features, False: {level: each for level, each in features.items() if level != FINE}}
    for (camera_id, product_name), positions in streams.items():
        frames = [
            mutual_frame(rings.scoring, digests[i], plans[i].product, theirs[i in finer], i, frame_look(pixels[i]))
            for i in positions
        ]
        least = rings.scoring.frames_needed(plans[positions[0]].camera.mode)
        scores = rings.score(camera_id, product_name, frames, to_maps, least)
        found.update(zip(positions, map(_scored, scores or ()), strict=False))
    return found


def score_set(
    scoring: ScoringSettings,
    false_alarm_rate: float,
    frames: Sequence[MutualFrame],
    to_maps: ToMaps,
    finer: bool | None = None,
) -> list[Scored]:
    """Score frames of one grid, all of them each other's reference; ``finer``: as for ``MutualRing``.

    Raises:
        BadInputError: fewer different frames than ``mutual_min_frames``.
    """
    different = len({frame.digest for frame in frames})
    if different < scoring.mutual_min_frames:
        raise BadInputError(
            f"at least {scoring.mutual_min_frames} different frames to compare with each other",
            str(different),
            "give more frames of the same part",
        )
    bytes_needed = different * max(frame.size for frame in frames)
    unbounded = replace(scoring, mutual_frames=different, mutual_memory_mb=bytes_needed // 2**20 + 1)
    ring = MutualRing(unbounded, false_alarm_rate, finer)
    ring.take(frames)
    return [_scored(score) for score in ring.score(frames, to_maps) or ()]


def mutual_frame(
    scoring: ScoringSettings,
    digest: str,
    product: ProductSettings,
    features: Mapping[str, Tensor],
    i: int,
    look: Look | None = None,
) -> MutualFrame:
    """Return image ``i`` of ``features`` [B, rows, columns, D] by level as it is compared with others.

    ``look``: of a stream, where a part may stand still; a set that is given as a whole is taken as it is.
    """
    names = chosen_levels(scoring.bank_levels, scoring.mutual_fusion)
    chosen = {level: features[level] for level in names if level in features}
    return MutualFrame(digest, product, to_held(chosen, i), look=look)


def _scored(score: MutualScore) -> Scored:
    return Scored(score.peaks.image, score.anomaly_map, ScoreMode.MUTUAL, score.score_maps)
