"""What a plant needs, to 10,000 cameras: rules that a planner relies on, and the fullest partition against hashes."""

from dataclasses import replace

import pytest

from inspector.domain.errors import BadInputError
from inspector.pipeline.capacity import FULL_SHARE, Plant, capacity, heaviest_partition_cameras
from inspector.simulator.scaling.demand import partition_weights

PLANT = Plant(cameras=200, camera_fps=1, frame_bytes=200_000, anomalous_share=0.02, inspector_fps=20)


@pytest.mark.parametrize("cameras", [1, 10, 100, 1000, 10_000])
def test_inspectors_keep_up_and_have_partitions_to_share(cameras):
    needs = capacity(replace(PLANT, cameras=cameras))

    assert needs.inspectors * PLANT.inspector_fps * FULL_SHARE >= needs.frames_per_s
    assert needs.partitions >= 4 * needs.inspectors


@pytest.mark.parametrize("cameras", [100, 1000, 10_000])
def test_no_partition_gets_more_cameras_than_told_when_they_fall_where_their_hashes_say(cameras):
    partitions = capacity(replace(PLANT, cameras=cameras)).partitions
    fullest = round(float(partition_weights(cameras, partitions).max()) * cameras)

    told = heaviest_partition_cameras(cameras, partitions)

    assert fullest <= told <= 3 * fullest


def test_twice_the_cameras_take_twice_the_bytes():
    one, two = capacity(PLANT), capacity(replace(PLANT, cameras=400))

    for name in ("frames_per_s", "kafka_in_bytes_s", "kafka_disk_bytes", "redis_bytes", "redis_writes_s"):
        assert getattr(two, name) == pytest.approx(2 * getattr(one, name))


def test_a_camera_faster_than_an_inspector_is_refused_with_what_to_do():
    with pytest.raises(BadInputError, match="at most 14 frames/s of a camera"):
        capacity(replace(PLANT, camera_fps=15))


def test_results_are_bounded_by_count_and_frame_ids_by_time():
    busy = capacity(replace(PLANT, camera_fps=10))
    hour = capacity(replace(PLANT, camera_fps=10, duplicate_s=3600))

    assert busy.redis_seen_bytes == pytest.approx(24 * hour.redis_seen_bytes)
    assert busy.redis_bytes - busy.redis_seen_bytes == pytest.approx(hour.redis_bytes - hour.redis_seen_bytes)
    assert busy.redis_bytes - busy.redis_seen_bytes < 200 * 4000 * 250_000
