"""What an engine keeps of a decoded frame: the square that the tower takes, and for fixed cameras a finer one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Side of the finer square; see deploy/decisions/0030.
FINE_PX = 1024


@dataclass(frozen=True, slots=True)
class FramePixels:
    """One frame, both sides squeezed independently.

    ``square`` uint8 [S, S, 3] RGB, S of the tower's tiles. ``fine`` uint8 [``FINE_PX``, ``FINE_PX``, 3], where the
    frame may be compared with others of a camera that stands still; None where it may not.
    """

    square: NDArray[np.uint8] = field(repr=False)
    fine: NDArray[np.uint8] | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.square.nbytes + (0 if self.fine is None else self.fine.nbytes)

    def coarse(self) -> FramePixels:
        """Return the square alone; an engine decodes the frame again where it needs the rest."""
        return FramePixels(self.square)

    def mirrored(self) -> FramePixels:
        """Return the frame with left and right exchanged."""
        fine = None if self.fine is None else np.ascontiguousarray(self.fine[:, ::-1])
        return FramePixels(np.ascontiguousarray(self.square[:, ::-1]), fine)

    @property
    def side_px(self) -> int:
        """S."""
        return len(self.square)


def is_finer(side_px: int) -> bool:
    """Say whether the finer square shows more than one of ``side_px``, by half and more."""
    return 3 * side_px <= 2 * FINE_PX
