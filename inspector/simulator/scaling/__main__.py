"""A working day against scaling policies: ``python -m inspector.simulator.scaling --frames-per-s 20 --out day.svg``.

``--frames-per-s`` is what one inspector manages (`inspector bench`), ``--peak-fps`` what all cameras send at full rate.
Prints a row for each policy; ``--metrics-away H H`` are the hours between which KEDA cannot read the lag.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from inspector.simulator.scaling.demand import arrivals, partition_weights
from inspector.simulator.scaling.picture import draw
from inspector.simulator.scaling.policies import PARTITIONS_PER_REPLICA, compared
from inspector.simulator.scaling.replay import STEP_S, Fleet, Replay, replay

_COLUMNS = f"{'policy':42s} {'pod hours':>9s} {'changes':>7s} {'reversals':>9s} {'most waiting':>12s} {'p50 s':>6s} {'p99 s':>6s} {'max s':>6s}"  # noqa: E501  # a table's head is one line


def main() -> None:
    """Replay and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames-per-s", type=float, default=20.0)
    parser.add_argument("--most", type=int, default=12, help="inspectors at most")
    parser.add_argument("--peak-fps", type=float, help="default: half of what the most inspectors manage")
    parser.add_argument("--cameras", type=int, default=200)
    parser.add_argument("--partitions", type=int, default=12 * PARTITIONS_PER_REPLICA)
    parser.add_argument("--metrics-away", type=float, nargs=2, metavar="H")
    parser.add_argument("--out", type=Path, help="an SVG, or a PNG where its name ends so")
    given = parser.parse_args()
    peak_fps = given.peak_fps or 0.5 * given.most * given.frames_per_s
    frames = arrivals(peak_fps, partition_weights(given.cameras, given.partitions), STEP_S)
    away = [(given.metrics_away[0] * 3600, given.metrics_away[1] * 3600)] if given.metrics_away else []
    fleet = Fleet(given.frames_per_s)
    days: dict[str, Replay] = {}
    print(_COLUMNS)
    for name, policy in compared(given.frames_per_s, given.most).items():
        days[name] = day = replay(frames, policy, fleet, away)
        print(
            f"{name:42s} {day.pod_hours:9.1f} {day.changes:7d} {day.reversals:9d} {day.lag_frames.max():12.0f} "
            f"{day.latency_p50_s:6.1f} {day.latency_p99_s:6.1f} {day.latency_max_s:6.1f}"
        )
    if given.out is not None:
        given.out.write_bytes(draw(days, "png" if given.out.suffix.lower() == ".png" else "svg"))


if __name__ == "__main__":
    main()
