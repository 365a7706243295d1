"""What a frame looks like to a reference bank: an early and a late level of the tower, and hand-made texture."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional

from inspector.vision.texture import TextureFeatures

# Share of each level in the score: half for what the tower sees, half for what it needs no training to see.
LEVEL_SHARES: Mapping[str, float] = MappingProxyType({"early": 0.25, "late": 0.25, "texture": 0.5})
LEVELS = tuple(LEVEL_SHARES)


def bank_features(taps: tuple[Tensor, ...], images: Tensor, texture: TextureFeatures) -> Mapping[str, Tensor]:
    """Return each level's features, float32 [B, P, D_level], of a batch.

    Early and late are the first and the last tap, L2-normalised, so that their distances are those of cosines;
    texture is raw here and divided by its spread over the normal frames in the bank.
    """
    return {
        "early": functional.normalize(taps[0].float(), dim=-1),
        "late": functional.normalize(taps[-1].float(), dim=-1),
        "texture": texture(images),
    }
