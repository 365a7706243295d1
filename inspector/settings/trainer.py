"""``trainer`` of the settings: when it works, on what, and what it may use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from inspector.settings.sections import Section


class TrainerSettings(Section):
    """The periodic trainer. It runs after so many corrections, or so long after its last run, whichever comes first.

    Every ``poll_s`` it looks whether it should, every ``gather_s`` it keeps samples that Redis and Kafka would let go,
    and every ``drift_every_s`` it looks whether a camera drifts, which is a reason too.
    ``work`` keeps what a run needs to go on after a kill. ``budget_s`` and ``memory_mb`` (None: as much as it takes)
    bound the tuning, ``cache_mb`` its disk. ``synthetic_per_camera`` examples are painted on at most
    ``normals_per_camera`` normal frames of each camera; each correction counts as ``correction_repeats`` examples.
    ``core_scenes`` rendered examples, and those of the labelled data set ``core_dataset``, keep what the weights knew;
    ``core_judged`` others see whether they do. ``lock_s``: how long a killed trainer keeps others away.
    """

    work: Path = Path(".cache/trainer")
    interval_s: Annotated[float, Field(gt=0)] = 24 * 3600.0
    after_corrections: Annotated[int, Field(ge=1)] = 20
    poll_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    gather_s: Annotated[float, Field(gt=0)] = 600.0
    drift_every_s: Annotated[float, Field(gt=0)] = 3600.0
    lock_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    budget_s: Annotated[float, Field(gt=0)] = 3600.0
    memory_mb: Annotated[int, Field(ge=1)] | None = None
    cache_mb: Annotated[int, Field(ge=0)] = 2048
    images_at_once: Annotated[int, Field(ge=1)] | None = None
    checkpoint_every_s: Annotated[float, Field(ge=0)] = 60.0
    epochs: Annotated[int, Field(ge=1, le=1000)] = 5
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 8
    lr: Annotated[float, Field(gt=0, le=10)] = 1e-4
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    correction_repeats: Annotated[int, Field(ge=1, le=1000)] = 4
    normals_per_camera: Annotated[int, Field(ge=1, le=10_000)] = 320
    synthetic_per_camera: Annotated[int, Field(ge=0, le=100_000)] = 64
    core_scenes: Annotated[int, Field(ge=0, le=100_000)] = 128
    core_dataset: Path | None = None
    core_judged: Annotated[int, Field(ge=0, le=10_000)] = 128
