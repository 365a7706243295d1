"""Settings: defaults < ``inspector.yaml`` < environment ``INSPECTOR_...`` (``__`` nests) < flags.

Unknown keys are errors. This package alone reads the environment.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from inspector.domain.errors import BadInputError
from inspector.domain.product import CameraSettings, ProductSettings
from inspector.settings.gate import GateSettings
from inspector.settings.products import CamerasSettings, ProductEntry
from inspector.settings.samples import SampleSettings
from inspector.settings.sections import (
    BatchSettings,
    CalibrationSettings,
    ExplainSettings,
    KafkaSettings,
    LimitSettings,
    ModelSettings,
    Name,
    RedisSettings,
    RejectSettings,
    RetentionSettings,
    RolloutSettings,
    ScoringSection,
    SpoolSettings,
)
from inspector.settings.serve import ServeSettings
from inspector.settings.telemetry import MetricsSettings, TracingSettings, WatchSettings
from inspector.settings.trainer import TrainerSettings


class Settings(BaseSettings):
    """All settings of all commands."""

    model_config = SettingsConfigDict(
        env_prefix="INSPECTOR_", env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    model: ModelSettings = ModelSettings()
    rollout: RolloutSettings = RolloutSettings()
    batch: BatchSettings = BatchSettings()
    limits: LimitSettings = LimitSettings()
    rejects: RejectSettings = RejectSettings()
    retention: RetentionSettings = RetentionSettings()
    spool: SpoolSettings = SpoolSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    explain: ExplainSettings = ExplainSettings()
    serve: ServeSettings = ServeSettings()
    scoring: ScoringSection = ScoringSection()
    samples: SampleSettings = SampleSettings()
    trainer: TrainerSettings = TrainerSettings()
    gate: GateSettings = GateSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    watch: WatchSettings = WatchSettings()
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
