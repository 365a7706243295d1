"""A replayed day as a picture: what came and what could be served, what waited, how many pods there were."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Literal

import numpy as np

from inspector.simulator.scaling.replay import STEP_S, Replay

# Okabe and Ito's palette, which colour-blind readers can tell apart; widths tell them apart in grey.
_COLOURS = ("#999999", "#E69F00", "#56B4E9", "#D55E00", "#009E73")
_POINTS = 1440  # one a minute


def draw(replays: Mapping[str, Replay], kind: Literal["png", "svg"] = "svg") -> bytes:
    """Return the picture; the same bytes for the same replays, which share one day."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    picture = io.BytesIO()
    with rc_context({"svg.hashsalt": "inspector", "svg.fonttype": "none"}):
        figure = Figure(figsize=(10, 7), layout="constrained")
        came, lag, pods = figure.subplots(3, 1, sharex=True)
        first = next(iter(replays.values()))
        every = max(1, len(first.lag_frames) // _POINTS)
        hours = np.arange(0, len(first.lag_frames), every) * STEP_S / 3600
        came.plot(hours, first.arriving_fps[::every], color="black", linewidth=1)
        came.set(ylabel="frames/s that arrive", yscale="symlog")
        for number, (name, day) in enumerate(replays.items()):
            colour, width = _COLOURS[number % len(_COLOURS)], 0.8 + 0.4 * number
            lag.plot(hours, day.lag_frames[::every], color=colour, linewidth=width, label=name)
            pods.step(hours, day.replicas[::every], where="post", color=colour, linewidth=width)
        lag.set(ylabel="frames that wait")
        lag.legend(frameon=False, fontsize=8)
        pods.set(ylabel="inspectors", xlabel="hour of the day", xlim=(0, 24), xticks=range(0, 25, 2))
        figure.savefig(picture, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)
    return picture.getvalue()
