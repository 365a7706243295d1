"""Every Redis key of the service, built here and nowhere else.

Ids come last, so that an id with a colon in it can never be read as another key's.
"""

from __future__ import annotations

CAMERAS = "inspection:cameras"
TRAINER_LOCK = "inspection:trainer:lock"
TRAINER_TOKEN = "inspection:trainer:token"  # noqa: S105  # a fencing token, no secret
TRAINER_RUNS = "inspection:trainer:runs"
TRAINER_LOOKED = "inspection:trainer:looked"


def result(frame_id: str) -> str:
    """String: the result as JSON."""
    return f"inspection:result:{frame_id}"


def frame(frame_id: str) -> str:
    """String: the encoded frame as captured."""
    return f"inspection:frame:{frame_id}"


def overlay(frame_id: str) -> str:
    """String: the overlay (JPEG)."""
    return f"inspection:overlay:{frame_id}"


def mask(frame_id: str) -> str:
    """String: the mask (PNG)."""
    return f"inspection:mask:{frame_id}"


def regions(frame_id: str) -> str:
    """String: what the listed defects look like to words (safetensors)."""
    return f"inspection:regions:{frame_id}"


def stream(camera_id: str) -> str:
    """Stream: one entry a frame in the order of arrival (frame_id, label, score)."""
    return f"inspection:stream:{camera_id}"


def good_index(camera_id: str) -> str:
    """Sorted set: frame ids judged normal, by time of capture in ms since 1970."""
    return f"inspection:index:good:{camera_id}"


def defect_index(camera_id: str) -> str:
    """Sorted set: frame ids judged anomalous, by time of capture in ms since 1970."""
    return f"inspection:index:defect:{camera_id}"


def good_arrivals(camera_id: str) -> str:
    """Sorted set: frame ids judged normal, numbered as they arrived; what is trimmed goes in this order."""
    return f"inspection:arrivals:good:{camera_id}"


def defect_arrivals(camera_id: str) -> str:
    """Sorted set: frame ids judged anomalous, numbered as they arrived."""
    return f"inspection:arrivals:defect:{camera_id}"


def seen(frame_id: str) -> str:
    """String: where the frame came from (topic:partition:offset), also after its result was trimmed."""
    return f"inspection:seen:{frame_id}"


def fence(group_id: str, topic: str, partition: int) -> str:
    """String: the highest generation that wrote for this partition. Topics hold no colon, so no two keys meet."""
    return f"inspection:fence:{group_id}:{topic}:{partition}"


def stored(group_id: str, topic: str, partition: int) -> str:
    """String: the highest offset of this partition whose result was stored; what it says outlives the process."""
    return f"inspection:stored:{group_id}:{topic}:{partition}"


def decoding(group_id: str, topic: str, partition: int) -> str:
    """Hash: the frames that are being decoded or have ended who decoded them, by offset (see decode_marks.lua)."""
    return f"inspection:decoding:{group_id}:{topic}:{partition}"


def artefact(version: str) -> str:
    """String: the bytes whose SHA-256 is ``version``."""
    return f"inspection:artefact:{version}"


def feedback_mask(version: str) -> str:
    """String: a mask that a person drew (PNG), whose SHA-256 is ``version``."""
    return f"inspection:feedback-mask:{version}"


def rollout_veto(version: str) -> str:
    """String: why no inspector serves these weights (JSON)."""
    return f"inspection:rollout:veto:{version}"


def rollout_trial(version: str) -> str:
    """Hash: for each inspector how many loads of these weights never ended, or "passed"."""
    return f"inspection:rollout:trial:{version}"


def rollout_standing(version: str) -> str:
    """Hash: for each inspector whether these weights are ready there or refused (JSON)."""
    return f"inspection:rollout:standing:{version}"


def rollout_found(subject: str, trial: str) -> str:
    """Hash: sums over the frames on which weights were compared with those before them, in one trial of them."""
    return f"inspection:rollout:found:{subject}:{trial}"


def rollout_differences(subject: str, trial: str) -> str:
    """Stream: the last frames that weights judged otherwise in one trial of them (JSON)."""
    return f"inspection:rollout:differences:{subject}:{trial}"
