"""``inspector capacity``: what a plant needs, from the settings of the line and a few numbers."""

from __future__ import annotations

from inspector.apps import console
from inspector.pipeline.capacity import FULL_SHARE, Capacity, Plant, capacity
from inspector.settings import Settings

_GB = 1e9


def run(
    settings: Settings, cameras: int, rate_fps: float, frame_kb: float, anomalous: float, fps: float, as_json: bool
) -> None:
    """Print it. Raises BadInputError where no number of inspectors would do."""
    kept = settings.retention
    plant = Plant(
        cameras=cameras,
        camera_fps=rate_fps,
        frame_bytes=round(frame_kb * 1000),
        anomalous_share=anomalous,
        inspector_fps=fps,
        replication_factor=settings.kafka.replication_factor,
        frames_retention_s=settings.kafka.frames_retention_hours * 3600,
        good_s=kept.good_hours * 3600,
        defect_s=kept.defect_hours * 3600,
        good_per_camera=kept.good_per_camera,
        defect_per_camera=kept.defect_per_camera,
        duplicate_s=kept.duplicate_hours * 3600,
    )
    needs = capacity(plant)
    if as_json:
        console.print_record(needs)
        return
    made = console.table("what", "how much", "why")
    for row in _rows(plant, needs):
        made.add_row(*row)
    console.print_table(made)
    if needs.heaviest_partition_fps > FULL_SHARE * fps:
        console.remark(
            f"the fullest partition may get {needs.heaviest_partition_fps:.1f} frames/s, near what one inspector "
            "manages: more partitions would spread them",
            "yellow",
        )
    if needs.redis_seen_bytes > needs.redis_bytes / 2:
        console.remark("most of Redis remembers frame ids: retention.duplicate_hours decides for how long", "yellow")


def _rows(plant: Plant, needs: Capacity) -> list[tuple[str, str, str]]:
    return [
        ("frames/s", f"{needs.frames_per_s:,.0f}", f"{plant.cameras:,} cameras x {plant.camera_fps:g}"),
        ("inspectors", f"{needs.inspectors:,}", f"{plant.inspector_fps:g} frames/s each, used to {FULL_SHARE:.0%}"),
        ("partitions", f"{needs.partitions:,}", "several an inspector, so that they can be shared out evenly"),
        ("fullest partition", f"{needs.heaviest_partition_fps:,.1f} frames/s", "cameras fall on partitions by chance"),
        ("Kafka in", f"{needs.kafka_in_bytes_s / 1e6:,.1f} MB/s", "frames and alerts; inspectors read as much"),
        ("Kafka replication", f"{needs.kafka_replication_bytes_s / 1e6:,.1f} MB/s", "between brokers"),
        ("Kafka disk", f"{needs.kafka_disk_bytes / _GB:,.1f} GB", "frames_retention_hours, all replicas"),
        ("Redis memory", f"{needs.redis_bytes / _GB:,.2f} GB", f"{needs.redis_seen_bytes / _GB:,.2f} of it frame ids"),
        ("Redis writes/s", f"{needs.redis_writes_s:,.0f}", "one call a result"),
        ("alerts/s", f"{needs.alerts_per_s:,.1f}", f"{plant.anomalous_share:.1%} of the frames"),
    ]
