"""Decodes mutated images under limits of memory and time, in a process of its own: ``fuzz_decode.py FIRST COUNT``.

Prints what came of them as JSON. An outcome that is neither an image nor a reason ends the process with its traceback,
after the seed was named; so does memory that is refused (a MemoryError) or a peak beyond what a frame's limits explain.
One image that takes ``CPU_S_AN_IMAGE`` of processor time ends it by a signal, inside the decoder's own code too.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from image_mutations import mutated, originals

from inspector.domain.errors import FrameRejectedError
from inspector.vision import decode as decoding
from inspector.vision.image_file import load_image
from inspector.vision.image_header import sniff
from inspector.vision.opencv import cv2

TARGET_PX = 64
# A frame may need 80 MB to decode, and what was decoded is copied; the rest is room for the allocator.
GROWTH_BYTES = 256 * 2**20
# Address space, which is more than what is touched of it: what asks for this much at once is refused.
ROOM_BYTES = 512 * 2**20
# The slowest takes milliseconds: this one hangs, however busy the machine is.
CPU_S_AN_IMAGE = 20.0
LIMITS = decoding.DecodeLimits()


def main(first: int, count: int) -> None:
    images = originals()
    for data in images.values():  # lazy imports and tables are there before the memory is counted
        outcome(data)
    _limit()
    before_bytes = _peak_bytes()
    counts: Counter[str] = Counter()
    slowest_s = 0.0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "camera.bin"
        for seed in range(first, first + count):
            name, data = mutated(seed, images)
            print(f"seed {seed} of {name}, {len(data)} bytes", file=sys.stderr, flush=True)
            signal.setitimer(signal.ITIMER_PROF, CPU_S_AN_IMAGE)  # SIGPROF ends a process that does not expect it
            began_s = time.process_time()
            counts[outcome(data)] += 1
            counts[f"file {converted(file, data)}"] += 1
            slowest_s = max(slowest_s, time.process_time() - began_s)
            grown_bytes = _peak_bytes() - before_bytes
            assert grown_bytes <= GROWTH_BYTES, f"{grown_bytes} bytes were taken, {GROWTH_BYTES} are explained"
    signal.setitimer(signal.ITIMER_PROF, 0)
    grown_mib = round(grown_bytes / 2**20)
    print(json.dumps({"counts": counts, "slowest_s": round(slowest_s, 3), "grown_mib": grown_mib}))


def _peak_bytes() -> int:
    # Not getrusage, whose peak is inherited from the process that started this one.
    found = re.search(r"VmHWM:\s*([0-9]+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def _limit() -> None:
    used_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used_bytes + ROOM_BYTES,) * 2)
    plain = cv2.imdecode

    def seen_by_opencv(data: Any, *rest: Any) -> Any:
        if _frames_only:
            assert sniff(bytes(data[:16])) is not None, "OpenCV was shown what is neither JPEG nor PNG"
        return plain(data, *rest)

    cv2.imdecode = seen_by_opencv


_frames_only = True


def outcome(data: bytes) -> str:
    """What an inspector makes of a frame: an image, or the reason of its rejection."""
    try:
        decoded = decoding.decode(data, "", LIMITS, TARGET_PX)
        assert decoded.pixels.shape == (TARGET_PX, TARGET_PX, 3)
        assert 0 < decoded.width_px * decoded.height_px <= LIMITS.max_pixels
        decoding.decode_view(data, (512, 512))
    except FrameRejectedError as refused:
        return refused.reason.value
    return "image"


def converted(file: Path, data: bytes) -> str:
    """What a folder camera makes of a file: bytes to publish, or a reason to leave it out."""
    global _frames_only
    file.write_bytes(data)
    _frames_only = False
    try:
        load_image(file)
    except (OSError, ValueError):
        return "left out"
    finally:
        _frames_only = True
    return "published"


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
