"""The frames of a batch against their cameras' banks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from inspector.vision.bank_features import ZERO_SHOT
from inspector.vision.normal_map import zero_shot_level
from inspector.vision.plan import BankInUse, Plan


@torch.inference_mode()
def bank_scores(
    plans: Sequence[Plan],
    features: Mapping[str, Tensor],
    adapted: Sequence[Tensor],
    grid: tuple[int, int],
    digests: Sequence[str],
) -> dict[int, Tensor]:
    """Return the patch scores [rows, columns] of the frames that have a bank, by position in the batch.

    ``features`` [B, rows, columns, D] by compared level; ``adapted`` [B, P, D] of each tapped layer, P the patches of
    ``grid``. All frames of a bank are matched at once; a frame that is in its bank, recognised by its digest, is left
    out of it, unless it is all the bank has.
    """
    users: dict[str, tuple[BankInUse, list[int]]] = {}
    for i, plan in enumerate(plans):
        if plan.bank is not None:
            users.setdefault(plan.bank.version, (plan.bank, []))[1].append(i)
    found: dict[int, Tensor] = {}
    for in_use, positions in users.values():
        used = (level for level in features if level in in_use.bank.levels)
        chosen = {level: features[level][positions] for level in used}
        device = next(iter(chosen.values())).device
        bank = in_use.bank.to(device)
        if bank.text is not None:
            text = bank.text.expand(len(positions), -1, -1)
            mask = torch.ones(text.shape[:2], dtype=torch.bool, device=device)
            chosen[ZERO_SHOT] = zero_shot_level([tap[positions] for tap in adapted], text, mask, grid)
        scores = bank.score(chosen, _own(in_use, [digests[i] for i in positions], device))
        found.update(zip(positions, scores, strict=True))
    return found


def _own(in_use: BankInUse, digests: Sequence[str], device: torch.device) -> Tensor | None:
    frames = in_use.info.frame_digests
    if len(frames) < 2:
        return None
    known = {digest: frame for frame, digest in enumerate(frames)}
    own = [known.get(digest, -1) for digest in digests]
    return torch.tensor(own, device=device) if max(own) >= 0 else None
