"""What marking frames while they are decoded costs: ``python tests/bench/marking.py [--frames 2000] [--rounds 3]``.

The same backlog is drained by workers with marks and, beside them in turn, by workers without, with a scorer that
takes no time: the line alone, where marks cost most. Prints frames/s of both and their ratio, and the CPU time that a
mark adds to a frame in the worker, which says more where others use the machine too.
"""

from __future__ import annotations

import argparse
import json
import statistics

from stub_bench import frames, load_average, middle_rate, servers, stub_line, wait_inspected, worker

from inspector.apps.bench import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frame-kb", type=float, default=20.0)
    parser.add_argument("--decode-ms", type=float, default=0.0)
    parser.add_argument("--score-ms", type=float, default=0.0)
    given = parser.parse_args()
    stub = ("--decode-ms", str(given.decode_ms), "--score-ms", str(given.score_ms))
    fps: dict[str, list[float]] = {"marked": [], "unmarked": []}
    cpu_s: dict[str, list[float]] = {"marked": [], "unmarked": []}
    with servers() as services:
        for turn in range(2 * given.rounds):
            name = ("marked", "unmarked")[turn % 2]
            with stub_line(services) as line:
                line.publish(frames(0, given.frames, round(1000 * given.frame_kb)))
                with worker(line, *stub, *(["--unmarked"] if name == "unmarked" else [])) as process:
                    fps[name].append(round(middle_rate(wait_inspected(line, given.frames, 600)), 1))
                    cpu_s[name].append(machine.cpu_s(process.pid))
    ratio = statistics.median(fps["marked"]) / statistics.median(fps["unmarked"])
    added_s = statistics.median(cpu_s["marked"]) - statistics.median(cpu_s["unmarked"])
    facts = {
        "frames_per_s": fps,
        "ratio": round(ratio, 3),
        "added_cpu_ms_per_frame": round(1000 * added_s / given.frames, 3),
        "load_average_1min": round(load_average(), 1),
    }
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
