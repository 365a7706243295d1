"""How busy and how full an inspector's GPU is, as torch can tell."""

from __future__ import annotations

import logging
from dataclasses import dataclass

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GpuState:
    """``utilization``: share of the driver's last sample (1/6 s to 1 s) in which it computed, 0..1; None: not told.

    All is of the GPU as a whole, whoever uses it.
    """

    device: str
    memory_used_bytes: int
    memory_total_bytes: int
    utilization: float | None


class TorchGpu:
    """Asks for the state of one GPU; ``device`` as torch names it, like ``cuda`` or ``cuda:1``.

    Utilization takes ``nvidia-ml-py`` (the extra ``gpu``) and a GPU whose driver tells of it, which a slice of one
    (MIG) is not: without it only memory is told, and why is logged once.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._said_why = False

    def __call__(self) -> GpuState:
        """Return the state as of now. Raises ``RuntimeError`` where CUDA itself cannot be asked."""
        import torch

        free_bytes, total_bytes = torch.cuda.mem_get_info(self._device)
        return GpuState(self._device, total_bytes - free_bytes, total_bytes, self._utilization())

    def _utilization(self) -> float | None:
        import torch

        try:
            return torch.cuda.utilization(self._device) / 100
        except (
            Exception
        ) as error:  # NVML's errors are no RuntimeError, and without its package there is no name for them
            if not self._said_why:
                self._said_why = True
                _log.info("how busy the GPU is cannot be told: %s: %s", type(error).__name__, error)
            return None
