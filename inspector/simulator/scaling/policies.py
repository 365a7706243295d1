"""The policy of ``k8s/``, and others that it was chosen over."""

from __future__ import annotations

import math
from collections.abc import Mapping

from inspector.simulator.scaling.autoscaler import Pace, ScalingPolicy

_UP = Pace(window_s=0, pods=4, period_s=60)
_SLOWLY_DOWN = Pace(window_s=900, pods=2, period_s=600)
_DEFAULT_DOWN = Pace(window_s=300, pods=100, period_s=15)
# An inspector that gets so many seconds' work ahead of it calls for another one.
_LAG_S = 30
# Above this share of what it can do an inspector counts as full: partitions are never spread evenly.
_FULL_SHARE = 0.7

PARTITIONS_PER_REPLICA = 4
"""Partitions for each of the most inspectors.

With one each, 12 partitions on 7 to 11 inspectors leave somebody with two, who is as slow as one of six: more of them
are paid for, and none of them helps until there are twelve.
"""


def chosen(frames_per_s: float, most: int) -> ScalingPolicy:
    """Return the policy for at most so many inspectors that manage ``frames_per_s`` each."""
    return ScalingPolicy(
        lag_frames=math.ceil(_LAG_S * frames_per_s),
        rate_fps=_FULL_SHARE * frames_per_s,
        min_replicas=min(2, most),
        max_replicas=most,
        up=_UP,
        down=_SLOWLY_DOWN,
        fallback_replicas=math.ceil(most * 2 / 3),
    )


def compared(frames_per_s: float, most: int) -> Mapping[str, ScalingPolicy]:
    """Return the policies of the table, by their names there; the chosen one last."""
    lag = math.ceil(_LAG_S * frames_per_s)
    least = min(2, most)
    return {
        "always all": ScalingPolicy(lag, None, most, most, _UP, _SLOWLY_DOWN, None),
        "lag alone, defaults of the pod autoscaler": ScalingPolicy(
            lag, None, least, most, Pace(0, 4, 15), _DEFAULT_DOWN, None
        ),
        "lag alone, slowly down": ScalingPolicy(lag, None, least, most, _UP, _SLOWLY_DOWN, None),
        "lag and rate, slowly down": chosen(frames_per_s, most),
    }
