"""How much memory the work since some moment has taken at its peak."""

from __future__ import annotations

from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class PeakMemory:
    """Of the device where it is a GPU, else of this process, where Linux tells."""

    def __init__(self, device: str) -> None:
        self._cuda = torch.device(device) if torch.device(device).type == "cuda" else None

    def begin(self) -> None:
        """Forget earlier peaks."""
        if self._cuda is not None:
            torch.cuda.reset_peak_memory_stats(self._cuda)
            return
        try:
            _RESET.write_text(_RESET_PEAK)
        except OSError:  # another system, or a container that may not: the peak is then that of the whole life
            return

    def peak_bytes(self) -> int | None:
        """Return the peak since ``begin``; None where nobody tells."""
        if self._cuda is not None:
            return int(torch.cuda.max_memory_allocated(self._cuda))
        try:
            lines = _STATUS.read_text("utf-8").splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
