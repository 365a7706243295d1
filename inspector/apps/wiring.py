"""The one place where adapters and the engine are made from the settings.

Each function imports what it makes: a command that reads Redis should not wait for torch to load.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspector.apps.file_names import camera_folder
from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.metrics import Part
from inspector.domain.product import CameraSettings, ProductSettings, Vocabulary
from inspector.domain.weights import WeightsManifest
from inspector.settings import Settings

if TYPE_CHECKING:
    from pydantic import SecretStr
    from torch import Tensor

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
    from inspector.adapters.vision_language import VisionLanguageModel
    from inspector.dapo.prompt_weights import PromptWeights
    from inspector.dapo.spec import ModelSpec
    from inspector.pipeline.sample_choice import SampleLimits
    from inspector.settings.sections import KafkaSecurity
    from inspector.vision.decode import DecodeLimits
    from inspector.vision.engine import InspectionEngine

UNTRAINED = "the text side is untrained: zero-shot scores and defect types mean nothing, scores of enrolled cameras do"

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
        BadInputError: the password file or a TLS file cannot be used.
    """
    from inspector.adapters.redis.connection import RedisAccess

    redis = settings.redis
    return RedisAccess(
        username=redis.username,
        password=secret_of(redis.password, redis.password_file, "redis.password_file"),
        ca_file=_text(redis.ca_file),
        cert_file=_text(redis.cert_file),
        key_file=_text(redis.key_file),
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


def vision_language_model(settings: Settings) -> VisionLanguageModel | None:
    """Return the model that words explanations beside the templates, or None where there is none.

    Raises:
        BadInputError: the file of its key cannot be read.
    """
    explain = settings.explain
    if explain.backend == "template" or explain.url is None or explain.model is None:
        return None
    from inspector.adapters.vision_language import Endpoint, VisionLanguageModel

    key = secret_of(explain.api_key, explain.api_key_file, "explain.api_key_file")
    endpoint = Endpoint(explain.url, explain.model, key, explain.ca_file, explain.timeout_s, explain.max_tokens)
    return VisionLanguageModel(endpoint)


def decode_limits(settings: Settings) -> DecodeLimits:
    """Return what a frame may be at most."""
    from inspector.vision.decode import DecodeLimits

    return DecodeLimits(settings.limits.max_frame_bytes, settings.limits.max_frame_pixels)


def model_spec(settings: Settings) -> ModelSpec:
    """Return which frozen model scores, and how.

    Raises:
        BadInputError: torch cannot compute on the configured device, or precision, engine and device do not agree.
    """
    from inspector.dapo.engine import fastest
    from inspector.dapo.spec import ModelSpec

    model = settings.model
    _check_device(model.device)
    spec = ModelSpec(
        name=model.name,
        pretrained=model.pretrained,
        image_size_px=model.image_size_px,
        seed=model.seed,
        device=model.device,
    )
    return fastest(spec, model.precision, model.engine)


def engine(settings: Settings) -> InspectionEngine:
    """Return the engine of the configured model, products and cameras; it takes seconds.

    Without ``model.weights``, and where none were bundled with the model, the prompt weights are freshly initialised
    from ``model.seed``, so that every process has the same ones, and a warning says what that means.

    Raises:
        BadInputError: the model, its weights or the device are not what they should be.
    """
    weights, manifest = prompt_weights(settings)
    if not manifest.trained:
        logging.getLogger(__name__).warning(UNTRAINED)
    cameras = settings.domain_cameras()
    made = engine_of(settings, weights, manifest, settings.domain_products(), cameras, settings.cameras.allow_unknown)
    made.check_golden_batch()
    return made


def engine_of(
    settings: Settings,
    weights: PromptWeights,
    manifest: WeightsManifest,
    products: Mapping[str, ProductSettings],
    cameras: Mapping[str, CameraSettings],
    allow_unknown: bool,
    texts: Mapping[Vocabulary, Tensor] | None = None,
) -> InspectionEngine:
    """Return an engine with these weights, products and cameras, and T of vocabularies. Raises as ``engine``."""
    import torch

    from inspector.vision.engine import InspectionEngine

    if settings.model.threads is not None:
        torch.set_num_threads(settings.model.threads)
    return InspectionEngine(
        model_spec(settings),
        weights,
        manifest,
        products,
        cameras,
        allow_unknown,
        decode_limits(settings),
        settings.scoring.to_domain(manifest.image_score),
        settings.calibration.false_alarm_rate,
        max_tiles=settings.batch.max_size,
        texts=texts,
    )


def prompt_weights(settings: Settings) -> tuple[PromptWeights, WeightsManifest]:
    """Return the prompt weights in use, fresh ones where there is no file of them. Raises as ``engine``."""
    path = weights_file(settings)
    return fresh_weights(settings) if path is None else load_prompt_weights(settings, path)


def weights_file(settings: Settings) -> Path | None:
    """Return the file of the prompt weights in use: ``model.weights``, or what was bundled with the model.

    Raises:
        BadInputError: the bundled file is damaged.
    """
    from inspector.dapo.model_folder import bundled_prompts
    from inspector.dapo.spec import ModelSpec

    return settings.model.weights or bundled_prompts(ModelSpec(settings.model.name, settings.model.pretrained))


def load_prompt_weights(settings: Settings, path: Path) -> tuple[PromptWeights, WeightsManifest]:
    """Return the prompt weights of a file, made for the configured model.

    Raises:
        BadInputError: as ``load_weights``, or ``model.text_mode`` is set to another mode than they were made with.
    """
    from inspector.dapo.weights_file import load_weights

    weights, manifest = load_weights(path, model_spec(settings))
    _check_text_mode(settings, manifest, str(path))
    return weights, manifest


def parse_prompt_weights(settings: Settings, data: bytes, where: str) -> tuple[PromptWeights, WeightsManifest]:
    """Return the prompt weights in a file's bytes; ``where`` is for errors. Raises as ``load_prompt_weights``."""
    from inspector.dapo.weights_file import parse_weights

    weights, manifest = parse_weights(data, where, model_spec(settings))
    _check_text_mode(settings, manifest, where)
    return weights, manifest


def _check_text_mode(settings: Settings, manifest: WeightsManifest, where: str) -> None:
    asked = settings.model.text_mode
    if asked is not None and asked != manifest.text_mode:
        raise BadInputError(
            f"weights of text mode {asked}, as model.text_mode says",
            f"{where}, made with {manifest.text_mode}",
            "leave model.text_mode out, or use weights made so",
        )


def fresh_weights(settings: Settings) -> tuple[PromptWeights, WeightsManifest]:
    """Return untrained weights, of the same version in every process with the same ``model.*`` settings.

    Their vocabulary is empty, as nothing was seen in training: a version that hung on the configured products would
    part an inspector from its banks with every new product.

    Raises:
        BadInputError: the model is not what it should be.
    """
    from inspector.dapo.prompt_weights import init_prompt_weights, seal

    weights, manifest = init_prompt_weights(model_spec(settings), Vocabulary(()), settings.model.seed)
    return weights, seal(weights, replace(manifest, text_mode=settings.model.text_mode or "causal"))


def _check_device(device: str) -> None:
    import torch

    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, ImportError) as error:  # as many kinds as there are backends left out
        reason = str(error).splitlines()[0]
        raise BadInputError(
            "model.device to be one that torch can use here", f"{device!r} ({reason})", "set it to cpu or cuda"
        ) from error
    if chosen.type == "meta":
        raise BadInputError("model.device to be one that computes", repr(device), "set it to cpu or cuda")


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
