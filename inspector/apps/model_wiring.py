"""The engine and its weights, made from the settings.

Each function imports what it makes: a command that asks for a model's name should not wait for torch to load.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.apps import wiring
from inspector.domain.errors import BadInputError
from inspector.domain.product import CameraSettings, ProductSettings, Vocabulary
from inspector.domain.weights import WeightsManifest
from inspector.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from inspector.adapters.vision_language import VisionLanguageModel
    from inspector.dapo.prompt_weights import PromptWeights
    from inspector.dapo.spec import ModelSpec
    from inspector.vision.decode import DecodeLimits
    from inspector.vision.engine import InspectionEngine
    from inspector.vision.region_types import RegionTypes

UNTRAINED = "the text side is untrained: zero-shot scores and defect types mean nothing, scores of enrolled cameras do"


def vision_language_model(settings: Settings) -> VisionLanguageModel | None:
    """Return the model that words explanations beside the templates, or None where there is none.

    Raises:
        BadInputError: the file of its key cannot be read.
    """
    explain = settings.explain
    if explain.backend == "template" or explain.url is None or explain.model is None:
        return None
    from inspector.adapters.vision_language import Endpoint, VisionLanguageModel

    key = wiring.secret_of(explain.api_key, explain.api_key_file, "explain.api_key_file")
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
        region_types=region_types(settings, manifest),
    )


def region_types_spec(settings: Settings, manifest: WeightsManifest) -> ModelSpec | None:
    """Return the model that says which type a region shows; None where the type map of the one that scores does.

    ``auto`` leaves it to prompt weights that were tuned: who tuned them on types of their own wants these named.
    """
    from inspector.dapo.model_folder import bundled_prompts
    from inspector.dapo.spec import BUNDLED, REGION_TYPES_MODEL, ModelSpec
    from inspector.dapo.weights_file import verify_weights

    model = settings.model
    chosen = model.region_types
    if chosen == "auto":
        ours = bundled_prompts(ModelSpec(model.name, model.pretrained)) if model.pretrained == BUNDLED else None
        as_shipped = ours is not None and verify_weights(ours).version == manifest.version
        chosen = "bundled" if as_shipped and model.name == "inspector-s" else "none"
    if chosen == "none":
        return None
    return ModelSpec(REGION_TYPES_MODEL if chosen == "bundled" else chosen, BUNDLED, device=model.device)


def region_types_id(settings: Settings, manifest: WeightsManifest) -> str:
    """Return what identifies the model that types regions, ``none`` without one. Raises as ``region_types``."""
    from inspector.dapo.weights_file import verify_weights

    spec = region_types_spec(settings, manifest)
    return "none" if spec is None else f"{spec.name} {verify_weights(_prompts_beside(spec)).version}"


def region_types(settings: Settings, manifest: WeightsManifest) -> RegionTypes | None:
    """Return what says which type a region shows, by a closer look; None where the type map does.

    Raises:
        BadInputError: its folder is damaged, or holds no prompt weights.
    """
    from functools import partial

    from inspector.dapo.region_typer import RegionTyper
    from inspector.dapo.text import encode_vocabularies
    from inspector.dapo.weights_file import load_weights
    from inspector.vision.region_types import RegionTypes

    spec = region_types_spec(settings, manifest)
    if spec is None:
        return None
    weights, own = load_weights(_prompts_beside(spec), spec)
    encode = partial(encode_vocabularies, spec, weights, text_mode=own.text_mode)
    return RegionTypes(RegionTyper.load(spec, weights), encode)


def _prompts_beside(spec: ModelSpec) -> Path:
    from inspector.dapo.model_folder import bundled_prompts

    path = bundled_prompts(spec)
    if path is None:
        raise BadInputError(
            "a model that types regions, with its prompt weights beside it",
            f"no prompts.safetensors in {spec.name}",
            "set model.region_types to a folder that pretrain-types wrote, or to none",
        )
    return path


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
