"""What the metrics of MVTec AD's 1,725 test images cost at 1024 x 1024: ``python tests/bench/metrics_memory.py``.

Fifteen classes of images with smooth random maps, and defects of about 3 % of the area. Prints seconds, and the peak
memory of this process; what was there before the first image is given beside it.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from inspector.evaluation.class_meter import ClassMeter, ClassMetrics, mean_of
from inspector.vision.opencv import cv2

TYPES = ("crack", "hole", "scratch", "stain")
PATCHES = 37


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def pictures(count: int, side_px: int, seed: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8], int]]:
    """Yield map, mask and type (0: good, 0.27 of them)."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        kind = int(rng.integers(1, 1 + len(TYPES))) if rng.random() > 0.27 else 0
        mask = np.zeros((side_px, side_px), np.uint8)
        if kind:
            for _ in range(rng.integers(1, 5)):
                x, y = rng.integers(0, side_px, 2)
                cv2.circle(mask, (int(x), int(y)), int(side_px * rng.uniform(0.02, 0.12)), 1, -1)
        smooth = cv2.resize(rng.random((PATCHES, PATCHES), np.float32), mask.shape)
        yield 0.6 * smooth + 0.2 * mask * rng.random(dtype=np.float32), mask, kind


def measure(name: str, images: int, side_px: int, seed: int, exact_pixels: int) -> ClassMetrics:
    meter = ClassMeter(TYPES, exact_pixels, name)
    rng = np.random.default_rng(seed)
    for anomaly_map, mask, kind in pictures(images, side_px, seed):
        types = rng.dirichlet(np.ones(1 + len(TYPES)), (PATCHES, PATCHES))[..., 1:].transpose(2, 0, 1)
        meter.add(
            float(anomaly_map.max()),
            anomaly_map,
            mask,
            type_scores=np.ascontiguousarray(types, np.float32),
            anomalous=kind > 0,
            image_types=[TYPES[kind - 1]] if kind else [],
        )
    return meter.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1725)
    parser.add_argument("--classes", type=int, default=15)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--exact-pixels", type=int, default=192 * 2**20)
    arguments = parser.parse_args()
    before, started = peak_mb(), time.perf_counter()
    # MVTec AD's largest class has 167 test images, its smallest 42: as unequal as that.
    shares = np.linspace(0.5, 1.5, arguments.classes)
    counts = np.diff(np.round(np.cumsum(np.append(0, shares / shares.sum())) * arguments.images)).astype(int)
    results = []
    for number, count in enumerate(counts):
        results.append(measure(f"class {number}", int(count), arguments.side, number, arguments.exact_pixels))
        print(f"{results[-1].name}: {count} images, {results[-1].method}, peak {peak_mb():.0f} MB", flush=True)
    for name, metric in mean_of(results).items():
        print(f"{name:26} {metric.value} (within {metric.error_bound:.1e})")
    seconds, busy = time.perf_counter() - started, time.process_time()
    print(f"{sum(counts)} images, {arguments.side} px a side, simulated too: {seconds:.0f} s, {busy:.0f} s of CPU")
    print(f"peak resident memory {peak_mb():.0f} MB, {before:.0f} MB of it before the first image")


if __name__ == "__main__":
    main()
