"""What back-pressure costs: ``python tests/bench/overload.py [--seconds 300] [--score-ms 10]``.

Peak throughput is that of a backlog being drained; overload is frames coming at ``--factor`` times that for
``--seconds``. The scorer is a stub that takes a known time a frame. Prints frames/s at peak and under overload, and
what the worker's memory grew by.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stub_bench import frames, inspected_s, load_average, middle_rate, now_s, rate, servers, stub_line, wait_inspected
from stub_bench import worker as running_worker

from inspector.apps.bench.machine import rss_bytes

_SAMPLE_S = 1.0
# After the first frames of an overload, until queues and buffers have their size.
_SETTLED_S = 5.0
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Overload:
    """Frames per second; ``rss_growth_mb`` is the highest memory under overload over that at its beginning."""

    seconds: float
    score_ms: float
    frame_kb: float
    peak_fps: float
    offered_fps: float
    overload_fps: float
    ratio: float
    rss_mb: float
    rss_growth_mb: float
    backlog_frames: int
    load_average_1min: float


def measure(seconds: float, score_ms: float, frame_kb: float, factor: float, peak_frames: int) -> Overload:
    """Run the line: a backlog first, then the overload."""
    size_bytes = round(frame_kb * 1000)
    with (
        servers() as services,
        stub_line(services) as line,
        running_worker(line, "--score-ms", str(score_ms)) as process,
    ):
        line.publish(frames(0, peak_frames, size_bytes))
        peak_fps = middle_rate(wait_inspected(line, peak_frames, 600))
        offered_fps = factor * peak_fps
        count = round(offered_fps * seconds)
        paced = _paced(frames(peak_frames, count, size_bytes), offered_fps)
        producer = threading.Thread(target=line.publish, args=(paced,))
        producer.start()
        began_s = now_s()
        rss_mb = []
        while now_s() < began_s + seconds:
            time.sleep(_SAMPLE_S)
            rss_mb.append(rss_bytes(process.pid) / _MB)
        load = load_average()
        producer.join(120)
        times_s = inspected_s(line)
        overload_fps = rate(times_s, began_s + _SETTLED_S, began_s + seconds)
    settled = rss_mb[min(len(rss_mb) - 1, round(_SETTLED_S / _SAMPLE_S))]
    return Overload(
        seconds,
        score_ms,
        frame_kb,
        round(peak_fps, 1),
        round(offered_fps, 1),
        round(overload_fps, 1),
        round(overload_fps / peak_fps, 3),
        round(settled, 1),
        round(max(rss_mb) - settled, 1),
        peak_frames + count - len(times_s),
        round(load, 1),
    )


def _paced(records: Iterator[Mapping[str, Any]], fps: float) -> Iterator[Mapping[str, Any]]:
    began_s = time.monotonic()
    for number, record in enumerate(records):
        time.sleep(max(0.0, began_s + number / fps - time.monotonic()))
        yield record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--score-ms", type=float, default=10.0, help="what the stub takes a frame")
    parser.add_argument("--frame-kb", type=float, default=50.0)
    parser.add_argument("--factor", type=float, default=2.0)
    parser.add_argument("--peak-frames", type=int, default=1500)
    given = parser.parse_args()
    print(json.dumps(asdict(measure(**vars(given))), indent=2))


if __name__ == "__main__":
    main()
