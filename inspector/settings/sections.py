"""Sections of the settings: what Kafka, Redis, the model, batches, scores and the rest are told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from inspector.domain.scoring import BankLevels, BankMatching, Fusion, ImageScore, ScoringSettings

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Settings that belong together; unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSecurity(Section):
    """How to talk to the brokers. Secrets come from the environment or from files, never from flags."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class KafkaSettings(Section):
    """Brokers, topics and the consumer group."""

    bootstrap_servers: str = "127.0.0.1:9092"
    security: KafkaSecurity = KafkaSecurity()
    group: Name = "inspectors"
    frames_topic: Name = "inspection.frames"
    alerts_topic: Name = "inspection.alerts"
    dead_letter_topic: Name = "inspection.dead-letter"
    config_topic: Name = "inspection.config"
    feedback_topic: Name = "inspection.feedback"
    weights_topic: Name = "inspection.weights"
    partitions: Annotated[int, Field(ge=1)] = 12
    replication_factor: Annotated[int, Field(ge=1)] = 1
    frames_retention_hours: Annotated[float, Field(gt=0)] = 24.0
    feedback_retention_days: Annotated[float, Field(gt=0, le=36_500)] = 3650.0

    @property
    def topics(self) -> dict[str, str]:
        """Every topic, by the name of its setting: for who must rename them all, and delete them afterwards."""
        return {name: getattr(self, name) for name in type(self).model_fields if name.endswith("_topic")}


class RedisSettings(Section):
    """The result store. What stands in ``url`` wins over ``username`` and ``password``, a file over ``password``.

    ``url`` names a server, or with ``redis+sentinel://HOST1:26379,HOST2:26379,HOST3:26379/SERVICE[/DB]`` sentinels that
    know which one is the primary; ``sentinel_username`` and ``sentinel_password`` are for these, where they want them.

    Secrets come from the environment or from files, never from flags.
    """

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    sentinel_username: str | None = None
    sentinel_password: SecretStr | None = None
    sentinel_password_file: Path | None = None
    timeout_s: Annotated[float, Field(gt=0)] = 5.0


class ModelSettings(Section):
    """Which CLIP model scores, and with which prompt weights.

    ``weights`` None takes those that were bundled with the model; where there are none, freshly initialised ones, whose
    text side is untrained.

    ``precision`` and ``engine`` "auto" take the fastest that is known to serve.
    ``region_types``: what says of a region which type it shows, by a closer look at it: ``bundled``, the model that
    ships for it, ``local-dir:PATH``, one made by ``pretrain-types``, ``none``, the type map of the model that scores,
    or ``auto``: ``bundled`` where the bundled model scores with the prompt weights that it came with.
    ``text_mode`` None takes the weights' own (fresh ones: causal); one that contradicts the weights is an error.
    """

    name: str = "inspector-s"
    pretrained: str = "bundled"
    image_size_px: Annotated[int, Field(ge=32, le=2048)] | None = None
    weights: Path | None = None
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16", "int8"] = "auto"
    engine: Literal["auto", "torch", "onnx"] = "auto"
    device: str = "cpu"
    text_mode: Literal["causal", "bidirectional"] | None = None
    region_types: Annotated[str, Field(pattern=r"^(auto|bundled|none|local-dir:.+)$")] = "auto"
    threads: Annotated[int, Field(ge=1)] | None = None

    @property
    def training_precision(self) -> Literal["fp32", "bf16"]:
        """Precision of the visual tower in training, which runs in torch."""
        return "bf16" if self.precision == "bf16" else "fp32"


class RolloutSettings(Section):
    """How new prompt weights come to serve: see ``pipeline.rollout`` and ``pipeline.rollout_guard``.

    ``shadow_share``: time spent on comparing two versions, as a share of the time spent on serving. ``memory_mb``
    bounds what the engine of a second version may take beside the first. ``watch_hours``: how long a version that
    serves all cameras is still held against the one before it. ``shadow_frames`` and ``canary_frames``: how many frames
    must have been compared, and served, before ``inspector weights advance`` goes a stage on.
    """

    canary_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    shadow_share: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    memory_mb: Annotated[int, Field(ge=1)] = 4096
    watch_hours: Annotated[float, Field(ge=0)] = 24.0
    shadow_frames: Annotated[int, Field(ge=1)] = 500
    canary_frames: Annotated[int, Field(ge=1)] = 500
    max_alarm_rise: Annotated[float, Field(gt=0, le=1)] = 0.15
    max_alarm_fall: Annotated[float, Field(gt=0, le=1)] = 0.10
    max_failure_rate: Annotated[float, Field(ge=0, lt=1)] = 0.01
    max_latency_ratio: Annotated[float, Field(ge=1)] = 2.0
    max_wrong_rise: Annotated[float, Field(gt=0, le=1)] = 0.10


class BatchSettings(Section):
    """A batch goes when it is full or its oldest frame has waited ``max_wait_ms``.

    ``drop_policy``: what a line leaves out that prefers fresh frames to all frames, where more than
    ``drop_when_lag_frames`` wait on a partition or, with ``oldest``, were captured more than ``drop_when_older_s`` ago
    while two batches of newer ones wait there.
    """

    max_size: Annotated[int, Field(ge=1, le=1024)] = 8
    max_wait_ms: Annotated[float, Field(ge=0, le=10_000)] = 50.0
    max_queued_frames: Annotated[int, Field(ge=1)] = 48
    decode_threads: Annotated[int, Field(ge=1, le=64)] = 2
    drop_policy: Literal["none", "oldest", "newest"] = "none"
    drop_when_lag_frames: Annotated[int, Field(ge=1)] | None = None
    drop_when_older_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _drops_are_bounded(self) -> BatchSettings:
        bounds = (self.drop_when_lag_frames, self.drop_when_older_s)
        if self.drop_policy == "none" and bounds != (None, None):
            raise ValueError("bounds to drop by are set, but drop_policy is none; set it to oldest or newest")
        if self.drop_policy == "oldest" and bounds == (None, None):
            raise ValueError("drop_policy oldest needs drop_when_lag_frames or drop_when_older_s")
        if self.drop_policy == "newest" and (self.drop_when_lag_frames is None or self.drop_when_older_s is not None):
            raise ValueError("drop_policy newest goes by drop_when_lag_frames alone")
        return self


class RejectSettings(Section):
    """When a camera's rejected frames are worth an alert: see ``pipeline.reject_window.RejectLimits``."""

    max_share: Annotated[float, Field(gt=0, lt=1)] = 0.01
    window_frames: Annotated[int, Field(ge=10, le=1_000_000)] = 1000
    max_in_a_row: Annotated[int, Field(ge=1, le=1_000_000)] = 100


class LimitSettings(Section):
    """What a frame may be at most; anything above becomes a dead letter."""

    max_frame_bytes: Annotated[int, Field(ge=1024)] = 16 * 2**20
    max_frame_pixels: Annotated[int, Field(ge=1024)] = 50_000_000


class RetentionSettings(Section):
    """How long results stay in Redis: by age and by count, defects longer than good frames.

    A frame id that comes again within ``duplicate_hours`` from elsewhere is a duplicate, whether or not its result is
    still kept; each remembered id takes about 150 bytes of Redis.
    """

    good_hours: Annotated[float, Field(gt=0)] = 24.0
    defect_hours: Annotated[float, Field(gt=0)] = 24.0 * 14
    good_per_camera: Annotated[int, Field(ge=1)] = 2_000
    defect_per_camera: Annotated[int, Field(ge=1)] = 2_000
    duplicate_hours: Annotated[float, Field(gt=0)] = 24.0


class SpoolSettings(Section):
    """Where a producer keeps frames while Kafka is away."""

    dir: Path = Path(".cache/spool")
    max_bytes: Annotated[int, Field(ge=2**20)] = 2**30


class CalibrationSettings(Section):
    """False alarms aimed at, as a share of good frames."""

    false_alarm_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.01


class ScoringSection(Section):
    """Variants of the scores: see ``domain.scoring.ScoringSettings``, which checks what hangs together."""

    image_score: ImageScore | None = None  # what the weights were tuned for
    fused_top_fraction: Annotated[float, Field(gt=0, le=1)] = 0.01
    peak_fraction: Annotated[float, Field(ge=0, le=1)] = 0.005
    fine_peak_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0003
    bank_patches: Annotated[int, Field(ge=16, le=65_536)] = 1024
    bank_frames: Annotated[int, Field(ge=2, le=1024)] = 32
    bank_matching: BankMatching = "auto"
    bank_levels: BankLevels = "all"
    bank_fusion: Fusion = "zero_shot"
    mutual_frames: Annotated[int, Field(ge=8, le=1024)] = 32
    mutual_keep: Annotated[float, Field(gt=0, le=1)] = 0.3
    mutual_min_frames: Annotated[int, Field(ge=8, le=1024)] = 8
    mutual_auto_frames: Annotated[int, Field(ge=8, le=1024)] = 16
    mutual_memory_mb: Annotated[int, Field(ge=1)] = 1024
    mutual_fusion: Fusion = "zero_shot"

    @model_validator(mode="after")
    def _ring_can_fill(self) -> ScoringSection:
        if self.mutual_min_frames > self.mutual_frames:
            raise ValueError(
                f"mutual_min_frames is {self.mutual_min_frames}, above mutual_frames, {self.mutual_frames}"
            )
        if self.mutual_auto_frames < self.mutual_min_frames:
            raise ValueError(
                f"mutual_auto_frames is {self.mutual_auto_frames}, below mutual_min_frames, {self.mutual_min_frames}"
            )
        return self

    def to_domain(self, image_score: ImageScore) -> ScoringSettings:
        """Return the settings as the engine takes them; ``image_score`` is the weights' own."""
        return ScoringSettings(**(self.model_dump() | {"image_score": self.image_score or image_score}))


class ExplainSettings(Section):
    """Who words reports: the templates alone, or beside them a model at an OpenAI-compatible address.

    The key comes from the environment or a file, never from a flag.
    """

    backend: Literal["template", "openai"] = "template"
    url: str | None = None
    model: str | None = None
    api_key: SecretStr | None = None
    api_key_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 300

    @model_validator(mode="after")
    def _complete(self) -> ExplainSettings:
        if self.backend == "openai" and not (self.url and self.model):
            raise ValueError("backend openai needs explain.url and explain.model")
        if self.url is not None and not _plain_address(self.url):
            # Not shown: it is printed with the settings and in errors, and may hold what should not be there.
            raise ValueError(
                "url must be http(s)://HOST[:PORT]/PATH with neither user, password nor query; "
                "a key goes into explain.api_key_file or explain.api_key"
            )
        return self


def _plain_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    has_more = "@" in parts.netloc or parts.query or parts.fragment
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not has_more
