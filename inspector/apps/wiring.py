"""The one place where adapters and the engine are made from the settings.

Each function imports what it makes: a command that reads Redis should not wait for torch to load.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspector.apps.file_names import camera_folder
from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.metrics import Part
from inspector.settings import Settings

if TYPE_CHECKING:
    from pydantic import SecretStr

    from inspector.adapters.kafka.connection import KafkaConnection
    from inspector.adapters.kafka.publisher import FramePublisher
    from inspector.adapters.kafka.topics import TopicPlan
    from inspector.adapters.redis.artefacts import RedisArtefactStore
    from inspector.adapters.redis.connection import RedisAccess
    from inspector.adapters.redis.decode_marks import RedisDecodeMarks
    from inspector.adapters.redis.result_store import RedisResultStore
    from inspector.adapters.redis.results import RedisResults
    from inspector.adapters.redis.retention import Retention
    from inspector.adapters.redis.rollout_store import RedisRolloutStore
    from inspector.adapters.samples.store import ObjectSampleStore
    from inspector.adapters.telemetry.spans import SpanSink
    from inspector.pipeline.sample_choice import SampleLimits
    from inspector.settings.sections import KafkaSecurity


# How long a producer waits for room in a full spool before it says so and looks whether it should stop.
_SPOOL_FULL_WAIT_S = 1.0
_HOUR_MS = 3_600_000
_HOUR_S = 3_600
# The trainer gathers every few minutes; what nobody gathers in so long is of no use, and Redis is not without end.
_MASK_LIFE_S = 30 * 24 * _HOUR_S


def kafka_connection(settings: Settings) -> KafkaConnection:
    """Return brokers and credentials; nothing is connected yet.

    Raises:
        BadInputError: the password file cannot be read, or the protocol would leave a name, password or TLS file out.
    """
    from inspector.adapters.kafka.connection import KafkaConnection

    security = settings.kafka.security
    _check_protocol(security)
    sasl = security.protocol.startswith("SASL")
    return KafkaConnection(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        security_protocol=security.protocol,
        sasl_mechanism=security.sasl_mechanism if sasl else None,
        sasl_username=security.username if sasl else None,
        sasl_password=secret_of(security.password, security.password_file, "kafka.security.password_file")
        if sasl
        else None,
        ssl_cafile=_text(security.ca_file),
        ssl_certfile=_text(security.cert_file),
        ssl_keyfile=_text(security.key_file),
        client_id=f"inspector-{settings.replica}",
    )


def _check_protocol(security: KafkaSecurity) -> None:
    """Refuse what looks secured and is not: who gives a password or an authority does not mean the clear."""
    unused = [
        name
        for mark, names in {
            "SASL": ("username", "password", "password_file"),
            "SSL": ("ca_file", "cert_file", "key_file"),
        }.items()
        if mark not in security.protocol
        for name in names
        if getattr(security, name) is not None
    ]
    if unused:
        raise BadInputError(
            f"kafka.security.protocol to use kafka.security.{', '.join(unused)}",
            security.protocol,
            "set it to SASL_SSL (name and password over TLS) or SSL, or leave them out",
        )


def topic_plan(settings: Settings) -> TopicPlan:
    """Return the topics of the line as the settings want them."""
    from inspector.adapters.kafka.topics import TopicPlan

    kafka = settings.kafka
    return TopicPlan(
        frames=kafka.frames_topic,
        alerts=kafka.alerts_topic,
        dead_letter=kafka.dead_letter_topic,
        config=kafka.config_topic,
        feedback=kafka.feedback_topic,
        weights=kafka.weights_topic,
        partitions=kafka.partitions,
        replication_factor=kafka.replication_factor,
        max_frame_bytes=settings.limits.max_frame_bytes,
        frames_retention_ms=round(kafka.frames_retention_hours * _HOUR_MS),
        feedback_retention_ms=round(kafka.feedback_retention_days * 24 * _HOUR_MS),
    )


def spool_dir(settings: Settings, camera_id: str) -> Path:
    """Return where a camera's frames wait while Kafka is away: a folder of its own, for one producer owns it."""
    return settings.spool.dir / camera_folder(camera_id)


def publisher(
    settings: Settings,
    camera_id: str,
    on_refused: Callable[[str, InspectorError], None],
    on_ack: Callable[[str, int, int], None] = lambda _frame_id, _partition, _offset: None,
) -> FramePublisher:
    """Return a running publisher of one camera's frames. Raises as ``FramePublisher``."""
    from inspector.adapters.kafka.publisher import FramePublisher

    return FramePublisher(
        kafka_connection(settings),
        settings.kafka.frames_topic,
        spool_dir(settings, camera_id),
        settings.spool.max_bytes,
        max_record_bytes=settings.limits.max_frame_bytes,
        full_wait_s=_SPOOL_FULL_WAIT_S,
        on_refused=on_refused,
        on_ack=on_ack,
    )


def span_sink(settings: Settings, part: Part) -> SpanSink | None:
    """Return where spans go; None where ``tracing.endpoint`` is not set. Nothing is connected yet."""
    tracing = settings.tracing
    if tracing.endpoint is None:
        return None
    from inspector.adapters.telemetry.spans import otlp_sink

    return otlp_sink(tracing.endpoint, tracing.ca_file, part.value, settings.replica)


def redis_access(settings: Settings) -> RedisAccess:
    """Return who we are for Redis and whom we trust; nothing is connected yet.

    Raises:
        BadInputError: a password file or a TLS file cannot be used.
    """
    from inspector.adapters.redis.connection import RedisAccess

    redis = settings.redis
    return RedisAccess(
        username=redis.username,
        password=secret_of(redis.password, redis.password_file, "redis.password_file"),
        ca_file=_text(redis.ca_file),
        cert_file=_text(redis.cert_file),
        key_file=_text(redis.key_file),
        sentinel_username=redis.sentinel_username,
        sentinel_password=secret_of(
            redis.sentinel_password, redis.sentinel_password_file, "redis.sentinel_password_file"
        ),
    )


def redis_client(settings: Settings) -> Any:  # redis.Redis, which only adapters may name
    """Return a connected client. Raises as ``adapters.redis.connection.connect``."""
    from inspector.adapters.redis.connection import connect

    url, timeout_s = settings.redis.url.get_secret_value(), settings.redis.timeout_s
    return connect(url, timeout_s=timeout_s, access=redis_access(settings))


def results(settings: Settings) -> RedisResults:
    """Return the reader of results. Raises as ``redis_client``."""
    from inspector.adapters.redis.results import RedisResults

    return RedisResults(redis_client(settings))


def result_store(settings: Settings) -> RedisResultStore:
    """Return where an inspector writes results. Raises as ``redis_client``."""
    from inspector.adapters.redis.result_store import RedisResultStore

    return RedisResultStore(redis_client(settings), group_id=settings.kafka.group, retention=retention(settings))


def retention(settings: Settings) -> Retention:
    """Return how long, and how many, results are kept."""
    from inspector.adapters.redis.retention import Retention

    kept = settings.retention
    return Retention(
        good_s=_seconds(kept.good_hours),
        defect_s=_seconds(kept.defect_hours),
        good_per_camera=kept.good_per_camera,
        defect_per_camera=kept.defect_per_camera,
        duplicate_s=_seconds(kept.duplicate_hours),
    )


def decode_marks(settings: Settings) -> RedisDecodeMarks:
    """Return where an inspector marks the frames it decodes. Raises as ``redis_client``."""
    from inspector.adapters.redis.decode_marks import RedisDecodeMarks

    return RedisDecodeMarks(redis_client(settings), group_id=settings.kafka.group)


def artefacts(settings: Settings) -> RedisArtefactStore:
    """Return the store of banks, calibrations and settings. Raises as ``redis_client``."""
    from inspector.adapters.redis.artefacts import RedisArtefactStore

    return RedisArtefactStore(redis_client(settings))


def feedback_masks(settings: Settings) -> RedisArtefactStore:
    """Return the store of masks that people drew, for the trainer to gather. Raises as ``redis_client``."""
    from inspector.adapters.redis import keys
    from inspector.adapters.redis.artefacts import RedisArtefactStore

    return RedisArtefactStore(redis_client(settings), keys.feedback_mask, life_s=_MASK_LIFE_S)


def sample_store(settings: Settings) -> ObjectSampleStore:
    """Return where frames are kept for training; a store in S3 is not connected yet.

    Raises:
        BadInputError: the place or its credentials cannot be used.
        ServiceUnavailableError: the folder cannot be made.
    """
    from inspector.adapters.samples.objects import S3Access, in_folder, in_s3
    from inspector.adapters.samples.store import ObjectSampleStore

    kept = settings.samples
    if kept.in_s3:
        secret = secret_of(kept.secret_access_key, kept.secret_access_key_file, "samples.secret_access_key_file")
        access = S3Access(kept.endpoint, kept.region, kept.access_key_id, secret, kept.ca_file, kept.timeout_s)
        objects = in_s3(kept.place, access)
    else:
        objects = in_folder(Path(kept.place))
    return ObjectSampleStore(objects, sample_limits(settings), settings.limits.max_frame_bytes)


def sample_limits(settings: Settings) -> SampleLimits:
    """Return how many frames are kept for training, and how large they may be together."""
    from inspector.pipeline.sample_choice import SampleLimits

    kept = settings.samples
    return SampleLimits(
        max_bytes=kept.max_bytes,
        normals_per_camera=kept.normals_per_camera,
        uncertain_per_camera=kept.uncertain_per_camera,
        phash_distance=kept.phash_distance,
        seed=kept.seed,
    )


def rollout_store(settings: Settings) -> RedisRolloutStore:
    """Return what inspectors tell of weights on trial. Raises as ``redis_client``."""
    from inspector.adapters.redis.rollout_store import RedisRolloutStore

    return RedisRolloutStore(redis_client(settings))


def secret_of(value: SecretStr | None, file: Path | None, setting: str) -> str | None:
    """Return a secret from its setting, or from the file that the settings name for it.

    Raises:
        BadInputError: the file cannot be read or is empty; ``setting`` is what names it.
    """
    if file is None:
        return None if value is None else value.get_secret_value()
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            "a readable file of a secret",
            f"{file}: {error.__class__.__name__}",
            f"correct {setting} or the file's rights",
        ) from error
    if not secret:
        raise BadInputError("a secret in its file", f"{file}, which is empty", f"write it, or correct {setting}")
    return secret


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _seconds(hours: float) -> int:
    return max(1, round(hours * _HOUR_S))
