"""Features in units of how much normals differ at one place."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

# Share of each feature's own variance, and an absolute variance (of logarithms: 1 %), added to the covariance: few
# frames understate it, and a feature that never changes must not decide alone.
_SHRINKAGE = 0.05
_LEAST_VARIANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Whitening:
    """``centre`` [D], ``matrix`` [D, D], float32."""

    centre: Tensor = field(repr=False)
    matrix: Tensor = field(repr=False)

    def __call__(self, features: Tensor) -> Tensor:
        """Return features [..., D] whose Euclidean distances are Mahalanobis distances of the originals."""
        return (features - self.centre) @ self.matrix

    def to(self, device: torch.device) -> Whitening:
        """Return the same on ``device``."""
        return Whitening(self.centre.to(device), self.matrix.to(device))


def fit_whitening(features: Tensor) -> Whitening:
    """Fit on features [F, rows, columns, D] of F normal frames.

    The covariance is that of differences from the place's own mean over the frames: what changes from one normal
    frame to the next counts little, what does not counts much. Where parts lie anywhere it is the common covariance.
    """
    differences = features - features.mean(0)
    freedom = differences[1:, ..., 0].numel()  # each place spends one frame on its mean
    differences = differences.flatten(0, 2)
    covariance = differences.T @ differences / freedom
    covariance = covariance + torch.diag(_SHRINKAGE * covariance.diag() + _LEAST_VARIANCE)
    values, vectors = torch.linalg.eigh(covariance)
    return Whitening(features.flatten(0, 2).mean(0), vectors * values.clamp_min(_LEAST_VARIANCE / 2).rsqrt())
