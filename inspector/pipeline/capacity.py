"""What a plant needs: partitions, inspectors, disk and memory as functions of cameras, rate and image size.

Bytes of a record were measured on the line's own records (``tests/contract/test_capacity_measured.py`` holds the
formulas against a real Kafka and Redis). Everything is for frames at full rate around the clock: an upper bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from inspector.domain.checks import check_number
from inspector.domain.errors import BadInputError

FULL_SHARE = 0.7
"""Above this share of what it can do an inspector counts as full: partitions are never spread evenly."""
PARTITIONS_PER_INSPECTOR = 4

_FRAME_OVERHEAD_BYTES = 400  # of a record: key, headers, its share of a batch
_ALERT_BYTES = 1500
_RESULT_BYTES = 1500  # JSON with one defect, key, and its entries in the camera's stream and indices
_EVIDENCE_BYTES = 20_000  # overlay, mask and regions of an anomalous frame, beside the frame itself
_SEEN_BYTES = 150
# Redis' allocator has four sizes for each doubling, so that large values take up to a fifth more than they are.
_ALLOCATED = 1.2


@dataclass(frozen=True, slots=True)
class Plant:
    """What is inspected. ``frame_bytes`` encoded; ``anomalous_share`` 0..1 of the frames is judged anomalous.

    ``inspector_fps``: frames/s of one inspector (`inspector bench`). Times of retention are seconds.

    Raises:
        BadInputError: a number out of range.
    """

    cameras: int
    camera_fps: float
    frame_bytes: int
    anomalous_share: float
    inspector_fps: float
    replication_factor: int = 3
    frames_retention_s: float = 86_400
    good_s: float = 86_400
    defect_s: float = 14 * 86_400
    good_per_camera: int = 2000
    defect_per_camera: int = 2000
    duplicate_s: float = 86_400

    def __post_init__(self) -> None:
        check_number("cameras", self.cameras, 1)
        check_number("rate", self.camera_fps, 0, low_excluded=True)
        check_number("frame bytes", self.frame_bytes, 1)
        check_number("share of anomalous frames", self.anomalous_share, 0, 1)
        check_number("frames/s of an inspector", self.inspector_fps, 0, low_excluded=True)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What that takes. Rates are for the whole plant and each a second, bytes are bytes.

    ``kafka_in_bytes_s`` is what producers send; replicas add ``kafka_replication_bytes_s``; inspectors read as much as
    is sent. ``heaviest_partition_fps``: of the partition on which most cameras fall, as hashes spread them.
    ``redis_seen_bytes`` is the part of ``redis_bytes`` that remembers frame ids.
    """

    frames_per_s: float
    partitions: int
    inspectors: int
    heaviest_partition_fps: float
    kafka_in_bytes_s: float
    kafka_replication_bytes_s: float
    kafka_disk_bytes: float
    redis_bytes: float
    redis_seen_bytes: float
    redis_writes_s: float
    alerts_per_s: float


def capacity(plant: Plant) -> Capacity:
    """Return what the plant takes.

    Raises:
        BadInputError: one camera sends more than one inspector manages: frames of a camera are judged in order, by one.
    """
    full_fps = FULL_SHARE * plant.inspector_fps
    if plant.camera_fps > full_fps:
        raise BadInputError(
            f"at most {full_fps:g} frames/s of a camera, {FULL_SHARE:.0%} of what one inspector manages",
            f"{plant.camera_fps:g}",
            "make inspectors faster (a GPU, a smaller image), or send every second frame under a camera id of its own",
        )
    fps = plant.cameras * plant.camera_fps
    inspectors = math.ceil(fps / full_fps)
    partitions = PARTITIONS_PER_INSPECTOR * inspectors
    alerts = fps * plant.anomalous_share
    sent = fps * (plant.frame_bytes + _FRAME_OVERHEAD_BYTES)
    seen = fps * plant.duplicate_s * _SEEN_BYTES
    return Capacity(
        frames_per_s=fps,
        partitions=partitions,
        inspectors=inspectors,
        heaviest_partition_fps=heaviest_partition_cameras(plant.cameras, partitions) * plant.camera_fps,
        kafka_in_bytes_s=sent + alerts * _ALERT_BYTES,
        kafka_replication_bytes_s=(plant.replication_factor - 1) * (sent + alerts * _ALERT_BYTES),
        kafka_disk_bytes=plant.replication_factor * sent * plant.frames_retention_s,
        redis_bytes=_results_bytes(plant) + seen,
        redis_seen_bytes=seen,
        redis_writes_s=fps,
        alerts_per_s=alerts,
    )


def heaviest_partition_cameras(cameras: int, partitions: int) -> int:
    """Return how many cameras fall on the fullest partition, exceeded about one time in a hundred.

    Cameras fall on partitions by a hash: their number on one is binomial. Bernstein's inequality over all partitions.
    """
    mean = cameras / partitions
    unlikely = math.log(100 * partitions)
    spread = unlikely / 3 + math.sqrt((unlikely / 3) ** 2 + 2 * mean * (1 - 1 / partitions) * unlikely)
    return min(cameras, math.ceil(mean + spread))


def _results_bytes(plant: Plant) -> float:
    good_fps = plant.camera_fps * (1 - plant.anomalous_share)
    defect_fps = plant.camera_fps * plant.anomalous_share
    good = min(plant.good_per_camera, good_fps * plant.good_s)
    defects = min(plant.defect_per_camera, defect_fps * plant.defect_s)
    of_defect = _RESULT_BYTES + _ALLOCATED * (plant.frame_bytes + _EVIDENCE_BYTES)
    return plant.cameras * (good * _RESULT_BYTES + defects * of_defect)
