"""The few-shot reference: patch features of a camera's normal frames; far from all of them is anomalous."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from inspector.domain.artefact import ScoreMap
from inspector.domain.errors import BadInputError
from inspector.vision.bank_features import LEVEL_SHARES, LEVELS
from inspector.vision.coreset import coreset

MIN_FRAMES = 2
# Matching costs 2 x P x N x D operations a level: with N = 1024, about a fifteenth of a 6 M tower at 256 px for both
# tower levels together.
MAX_PATCHES = 1024
# Queries matched at once: bounds the distance matrix to 1024 x 1024 floats, 4 MB.
_CHUNK = 1024


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a bank.

    ``patches`` [N, D] float32, already divided by ``spread`` [D]; ``frames`` [N] int64 says which normal frame each
    came from; ``mean`` and ``std`` are those of the normals' own distances, left one out.
    """

    patches: Tensor = field(repr=False)
    frames: Tensor = field(repr=False)
    spread: Tensor = field(repr=False)
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True, slots=True)
class BankInfo:
    """What a bank was made for and from. ``image`` and ``pixel`` are the score maps its own normals gave, left one out.

    ``weights_version`` binds it to the weights whose visual tokens shaped the features. ``frame_digests`` recognise
    the frames that made the bank, in order, so that they can be left out where they are scored against it.
    """

    model: str
    image_size_px: int
    weights_version: str
    image: ScoreMap
    pixel: ScoreMap
    frame_digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReferenceBank:
    """Levels by name, in the order of ``LEVELS``."""

    levels: Mapping[str, Level]

    def score(self, features: Mapping[str, Tensor], leave_out: Tensor | None = None) -> Tensor:
        """Return raw anomaly scores [B, P] of features [B, P, D_level] by level.

        0 is as far from the references as normals are on average, and the unit is the spread of the normals.

        Each level's distance to its nearest reference patch is standardised by what the normals show among
        themselves, so that levels of different scale may be added up (``LEVEL_SHARES``). ``leave_out`` [B] int64
        names for each image the normal frame whose patches do not count for it (-1: none).
        """
        shares = [
            LEVEL_SHARES[name] * (nearest_distance(features[name], level, leave_out) - level.mean) / level.std
            for name, level in self.levels.items()
        ]
        return torch.stack(shares).sum(0)

    def to(self, device: torch.device) -> ReferenceBank:
        """Return the bank with its tensors on ``device``."""
        moved = {
            name: Level(v.patches.to(device), v.frames.to(device), v.spread.to(device), v.mean, v.std)
            for name, v in self.levels.items()
        }
        return ReferenceBank(moved)


@torch.inference_mode()
def build_bank(features: Mapping[str, Tensor], max_patches: int = MAX_PATCHES) -> ReferenceBank:
    """Build a bank from the features [F, P, D_level] of F normal frames.

    Raises:
        BadInputError: fewer than 2 frames.
    """
    frames = len(features[LEVELS[0]])
    if frames < MIN_FRAMES:
        raise BadInputError(f"at least {MIN_FRAMES} normal frames", str(frames), "enrol more normal frames")
    return ReferenceBank({name: _build_level(name, features[name], max_patches) for name in LEVELS})


def _build_level(name: str, features: Tensor, max_patches: int) -> Level:
    frames, patches, width = features.shape
    # Cosine features keep their lengths; hand-made ones have units of their own, which their spread takes away.
    spread = features.flatten(0, 1).std(0).clamp_min(1e-6) if name == "texture" else torch.ones(width)
    scaled = (features / spread).flatten(0, 1)
    origin = torch.arange(frames).repeat_interleave(patches)
    kept = coreset(scaled, max_patches)
    level = Level(scaled[kept].contiguous(), origin[kept], spread)
    left_out = nearest_distance(features, level, torch.arange(frames))
    return Level(level.patches, level.frames, spread, float(left_out.mean()), max(float(left_out.std()), 1e-6))


def nearest_distance(features: Tensor, level: Level, leave_out: Tensor | None = None) -> Tensor:
    """Return the Euclidean distance [B, P] of each patch [B, P, D] to its nearest reference patch."""
    queries = (features / level.spread).flatten(0, 1)
    lengths = level.patches.square().sum(1)
    excluded = None if leave_out is None else leave_out.repeat_interleave(features.shape[1])
    nearest = []
    for start in range(0, len(queries), _CHUNK):
        chunk = queries[start : start + _CHUNK]
        # |q - r|^2 = |q|^2 + (|r|^2 - 2 q.r), and |q|^2 does not change which r is nearest.
        partial = torch.addmm(lengths, chunk, level.patches.T, alpha=-2)
        if excluded is not None:
            own = excluded[start : start + _CHUNK, None] == level.frames
            partial = partial.masked_fill(own, torch.inf)
        nearest.append((partial.amin(1) + chunk.square().sum(1)).clamp_min(0).sqrt())
    return torch.cat(nearest).reshape(features.shape[:2])
