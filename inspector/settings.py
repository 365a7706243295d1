"""Settings: defaults < ``inspector.yaml`` < environment ``INSPECTOR_...`` (``__`` nests) < flags.

Unknown keys are errors. This is the only module that reads the environment.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from inspector.domain.errors import BadInputError
from inspector.domain.product import MAX_TILES, CameraMode, CameraSettings, DefectSpec, Polygon, ProductSettings
from inspector.domain.scoring import BankLevels, BankMatching, ImageScore, ScoringSettings

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSecurity(_Section):
    """How to talk to the brokers. Secrets come from the environment or from files, never from flags."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class KafkaSettings(_Section):
    """Brokers, topics and the consumer group."""

    bootstrap_servers: str = "127.0.0.1:9092"
    security: KafkaSecurity = KafkaSecurity()
    group: Name = "inspectors"
    frames_topic: Name = "inspection.frames"
    alerts_topic: Name = "inspection.alerts"
    dead_letter_topic: Name = "inspection.dead-letter"
    config_topic: Name = "inspection.config"
    partitions: Annotated[int, Field(ge=1)] = 12
    replication_factor: Annotated[int, Field(ge=1)] = 1
    frames_retention_hours: Annotated[float, Field(gt=0)] = 24.0


class RedisSettings(_Section):
    """The result store."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    timeout_s: Annotated[float, Field(gt=0)] = 5.0


class ModelSettings(_Section):
    """Which CLIP model scores, and with which prompt weights (none: freshly initialised, the text side untrained).

    ``text_mode`` None takes the weights' own (fresh ones: causal); one that contradicts the weights is an error.
    """

    name: str = "inspector-s"
    pretrained: str = "random"
    image_size_px: Annotated[int, Field(ge=32, le=2048)] | None = None
    weights: Path | None = None
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = "cpu"
    text_mode: Literal["causal", "bidirectional"] | None = None
    threads: Annotated[int, Field(ge=1)] | None = None


class BatchSettings(_Section):
    """A batch goes when it is full or its oldest frame has waited ``max_wait_ms``."""

    max_size: Annotated[int, Field(ge=1, le=1024)] = 8
    max_wait_ms: Annotated[float, Field(ge=0, le=10_000)] = 50.0
    max_queued_frames: Annotated[int, Field(ge=1)] = 48
    decode_threads: Annotated[int, Field(ge=1, le=64)] = 2


class LimitSettings(_Section):
    """What a frame may be at most; anything above becomes a dead letter."""

    max_frame_bytes: Annotated[int, Field(ge=1024)] = 16 * 2**20
    max_frame_pixels: Annotated[int, Field(ge=1024)] = 50_000_000


class RetentionSettings(_Section):
    """How long results stay in Redis: by age and by count, defects longer than good frames.

    A frame id that comes again within ``duplicate_hours`` from elsewhere is a duplicate, whether or not its result is
    still kept; each remembered id takes about 150 bytes of Redis.
    """

    good_hours: Annotated[float, Field(gt=0)] = 24.0
    defect_hours: Annotated[float, Field(gt=0)] = 24.0 * 14
    good_per_camera: Annotated[int, Field(ge=1)] = 2_000
    defect_per_camera: Annotated[int, Field(ge=1)] = 2_000
    duplicate_hours: Annotated[float, Field(gt=0)] = 24.0


class SpoolSettings(_Section):
    """Where a producer keeps frames while Kafka is away."""

    dir: Path = Path(".cache/spool")
    max_bytes: Annotated[int, Field(ge=2**20)] = 2**30


class CalibrationSettings(_Section):
    """False alarms aimed at, as a share of good frames."""

    false_alarm_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.01


class ScoringSection(_Section):
    """Variants of the scores: see ``domain.scoring.ScoringSettings``, which checks what hangs together."""

    image_score: ImageScore = "cls"
    fused_top_fraction: Annotated[float, Field(gt=0, le=1)] = 0.01
    bank_patches: Annotated[int, Field(ge=16, le=65_536)] = 1024
    bank_frames: Annotated[int, Field(ge=2, le=1024)] = 32
    bank_matching: BankMatching = "auto"
    bank_levels: BankLevels = "all"
    mutual_frames: Annotated[int, Field(ge=8, le=1024)] = 32
    mutual_keep: Annotated[float, Field(gt=0, le=1)] = 0.3
    mutual_min_frames: Annotated[int, Field(ge=8, le=1024)] = 8
    mutual_memory_mb: Annotated[int, Field(ge=1)] = 1024

    @model_validator(mode="after")
    def _ring_can_fill(self) -> ScoringSection:
        if self.mutual_min_frames > self.mutual_frames:
            raise ValueError(
                f"mutual_min_frames is {self.mutual_min_frames}, above mutual_frames, {self.mutual_frames}"
            )
        return self

    def to_domain(self) -> ScoringSettings:
        """Return the settings as the engine takes them."""
        return ScoringSettings(**self.model_dump())


class ExplainSettings(_Section):
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


def _defect(value: object) -> object:
    """Let ``defects: [scratch, {name: crack, threshold: 0.7}]`` mix plain names with settings."""
    return {"name": value} if isinstance(value, str) else value


class DefectEntry(_Section):
    """One defect type of a product."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    threshold: Fraction | None = None
    min_area_px: Annotated[int, Field(ge=0)] = 0
    severity_weight: Annotated[float, Field(gt=0, le=10)] = 1.0


class ProductEntry(_Section):
    """``products.NAME``: polygons are lists of [x, y] in fractions of the frame, ``tiles`` how many a side."""

    object: Annotated[str, Field(min_length=1, max_length=80)] = "object"
    defects: tuple[Annotated[DefectEntry, BeforeValidator(_defect)], ...] | None = Field(None, min_length=1)
    mm_per_px: Annotated[float, Field(gt=0)] | None = None
    region_of_interest: tuple[tuple[tuple[Fraction, Fraction], ...], ...] = ()
    ignore: tuple[tuple[tuple[Fraction, Fraction], ...], ...] = ()
    tiles: Annotated[int, Field(ge=1, le=MAX_TILES)] = 1

    @model_validator(mode="after")
    def _sound(self) -> ProductEntry:
        names = [defect.name for defect in self.defects or ()]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"defect types must differ, these repeat: {', '.join(repeated)}")
        if any(len(polygon) < 3 for polygon in (*self.region_of_interest, *self.ignore)):
            raise ValueError("a polygon needs at least three points")
        return self

    def to_domain(self) -> ProductSettings:
        """Return the product as the engine takes it."""
        polygons: tuple[Polygon, ...] = self.region_of_interest
        return ProductSettings(
            object_word=self.object,
            mm_per_px=self.mm_per_px,
            region_of_interest=polygons,
            ignore=self.ignore,
            tiles=self.tiles,
            **({"defects": tuple(DefectSpec(**d.model_dump()) for d in self.defects)} if self.defects else {}),
        )


class CameraEntry(_Section):
    """``cameras.ID``."""

    product: str = "default"
    line: Name = "line-1"
    mode: CameraMode = CameraMode.AUTO
    image_threshold: Fraction | None = None
    pixel_threshold: Fraction | None = None

    def to_domain(self) -> CameraSettings:
        """Return the camera as the engine takes it."""
        return CameraSettings(self.product, self.line, self.mode, self.image_threshold, self.pixel_threshold)


class CamerasSettings(BaseModel):
    """``cameras.ID``, and ``cameras.allow_unknown``: serve a camera that is not listed, as the default product."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, CameraEntry] = Field(init=False)

    allow_unknown: bool = True

    def by_id(self) -> Mapping[str, CameraEntry]:
        """Return the listed cameras."""
        return self.__pydantic_extra__


class Settings(BaseSettings):
    """All settings of all commands."""

    model_config = SettingsConfigDict(
        env_prefix="INSPECTOR_", env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    model: ModelSettings = ModelSettings()
    batch: BatchSettings = BatchSettings()
    limits: LimitSettings = LimitSettings()
    retention: RetentionSettings = RetentionSettings()
    spool: SpoolSettings = SpoolSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    explain: ExplainSettings = ExplainSettings()
    scoring: ScoringSection = ScoringSection()
    products: dict[str, ProductEntry] = Field(default_factory=dict)
    cameras: CamerasSettings = CamerasSettings()
    replica: Name = Field(default_factory=lambda: re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()) or "inspector")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _products_exist(self) -> Settings:
        for camera_id, camera in self.cameras.by_id().items():
            if camera.product != "default" and camera.product not in self.products:
                known = ", ".join(sorted(self.products)) or "none is configured"
                raise ValueError(f"cameras.{camera_id}.product is {camera.product!r}, products are: {known}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment above the values given to the constructor, which are the file's."""
        return env_settings, init_settings

    def domain_products(self) -> Mapping[str, ProductSettings]:
        """Return the products by name; ``default`` is always there."""
        return {"default": ProductSettings(), **{name: p.to_domain() for name, p in self.products.items()}}

    def domain_cameras(self) -> Mapping[str, CameraSettings]:
        """Return the configured cameras by id."""
        return {camera_id: camera.to_domain() for camera_id, camera in self.cameras.by_id().items()}


def load(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; ``flags`` (nested as the settings are) win over everything.

    Without ``file``, ``inspector.yaml`` of the current folder is read if it is there.

    Raises:
        BadInputError: the file cannot be read, or a setting is unknown or wrong.
    """
    path = file or Path("inspector.yaml")
    content = _read(path) if file is not None or path.exists() else {}
    _check_environment()
    try:
        settings = Settings(**content)
        settings = _with_flags(settings, flags or {})
    except ValidationError as error:
        raise _readable(error, path) from error
    except (SettingsError, RecursionError) as error:  # a variable of a whole section, whose value is read as JSON
        raise BadInputError(
            "one setting a variable, as in INSPECTOR_KAFKA__GROUP, or a whole section as JSON",
            f"no JSON ({error})",
            "mend the INSPECTOR_ variable",
        ) from error
    return settings


def _check_environment() -> None:
    # pydantic-settings ignores variables it does not know; a typo must not pass silently.
    prefix = "INSPECTOR_"
    for variable in os.environ:
        field = variable.removeprefix(prefix).split("__")[0].lower()
        if variable.startswith(prefix) and field not in Settings.model_fields:
            known = ", ".join(f"{prefix}{name.upper()}" for name in Settings.model_fields)
            raise BadInputError("only known settings", f"unknown variable {variable}", f"use one of {known} (__ nests)")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise BadInputError(
            "a readable YAML settings file", f"{path}: {reason}", "check the path and the file"
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise BadInputError("settings by name", f"{path} holds a {type(content).__name__}", "see README, Settings")
    return content


def _with_flags(settings: Settings, flags: Mapping[str, Any]) -> Settings:
    # Not through Settings(...), whose environment would win over the flags: field by field, validated by its own type.
    update: dict[str, Any] = {}
    for name, value in flags.items():
        current = getattr(settings, name)
        merged = _merged(current.model_dump(), value) if isinstance(current, BaseModel) else value
        adapter: TypeAdapter[Any] = TypeAdapter(Settings.model_fields[name].rebuild_annotation())
        update[name] = adapter.validate_python(merged)
    return settings.model_copy(update=update)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def _readable(error: ValidationError, path: Path) -> BadInputError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "settings"
    if first["type"] == "extra_forbidden":
        return BadInputError(
            "only known settings", f"unknown setting {place}", f"check {path} and INSPECTOR_ variables for a typo"
        )
    return BadInputError("valid settings", f"{place}: {first['msg']}", f"mend it in {path} or its INSPECTOR_ variable")
