"""An engine for images on disk: one product, a camera that is no camera, and a folder of normal images at most."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from inspector.adapters.artefacts import version_of
from inspector.apps import console, model_wiring
from inspector.apps.score_inputs import CAMERA_ID, PRODUCT, UnreadableImageError, decode_file, find_inputs
from inspector.domain.product import CameraMode, CameraSettings, DefectSpec, ProductSettings
from inspector.settings import Settings
from inspector.vision.engine import InspectionEngine

# Decoded frames of the reference are held at once: 256 are 50 MB at 256 px, 200 MB at 518 px. Tiled ones are larger.
_MAX_REFERENCE = 256
_MAX_REFERENCE_TILED = 32
_NAMED_TYPES = 6


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """An engine for files, the product as it looks for it, and how many normal images it compares with."""

    engine: InspectionEngine
    product: ProductSettings
    reference_images: int


def types_are_set(settings: Settings, product: str) -> bool:
    """Return whether the settings say which defect types a product may have."""
    entry = settings.products.get(product)
    return entry is not None and entry.defects is not None


def local_engine(
    settings: Settings,
    product: ProductSettings,
    reference: Path | None,
    camera: CameraSettings | None = None,
    mutual: bool = False,
    types_asked: bool = True,
) -> LocalEngine:
    """Return an engine that inspects files (``score_inputs.CAMERA_ID``) as ``product``, by a bank of ``reference``.

    ``camera``: whose mode and thresholds to take. Unless ``types_asked``, nobody chose the product's defect types, and
    those that trained weights were tuned on take their place. This, and what untrained weights mean, is said on stderr.

    Raises:
        BadInputError: an unusable reference, model or weights.
    """
    with console.status("loading the model"):
        weights, manifest = model_wiring.prompt_weights(settings)
        own_types = manifest.vocabulary if manifest.trained and not types_asked else ()
        if own_types:
            product = replace(product, defects=tuple(DefectSpec(name) for name in own_types))
        own = camera or CameraSettings()
        if own.mode is CameraMode.AUTO and reference is None:
            # Files are no stream: what a folder holds need not be of one part, and the first would be scored otherwise.
            own = replace(own, mode=CameraMode.ZERO_SHOT)
        cameras = {CAMERA_ID: own}
        engine = model_wiring.engine_of(settings, weights, manifest, {PRODUCT: product}, cameras, allow_unknown=True)
    if own_types:
        few, more = ", ".join(own_types[:_NAMED_TYPES]), len(own_types) - _NAMED_TYPES
        others = f" and {more} more (inspector weights show)" if more > 0 else ""
        console.remark(f"no defect types given: those of the weights are looked for, {few}{others}")
    used = 0
    if reference is not None:
        most = max(_MAX_REFERENCE_TILED, _MAX_REFERENCE // product.tiles**2)
        used = _take_reference(engine, reference, settings.calibration.false_alarm_rate, most)
    if not manifest.trained:
        compared = mutual or reference is not None
        what = "types are a guess" if compared else "scores and types mean nothing; give --reference"
        console.remark(f"no trained weights (model.weights): the text side is untrained, {what}", "yellow")
    return LocalEngine(engine, product, used)


def _take_reference(engine: InspectionEngine, folder: Path, false_alarm_rate: float, most: int) -> int:
    """Build the bank and its thresholds, each normal image left out for its own score; return how many images."""
    normals = find_inputs([str(folder)], None)
    if len(normals) > most:
        console.remark(f"{len(normals)} reference images: {most} of them, evenly spread, are used")
        normals = [normals[i * len(normals) // most] for i in range(most)]
    pixels = []
    with console.progress("reference", len(normals)) as meter:
        for item in normals:
            try:
                pixels.append(decode_file(engine, item).pixels)
            except UnreadableImageError as error:
                console.remark(f"{item.shown}: left out: {error}", "yellow")
            meter.advance()
    with console.status(f"building a bank of {len(pixels)} reference images"):
        bank = engine.enroll(pixels, false_alarm_rate, PRODUCT)
    engine.set_bank(CAMERA_ID, version_of(bank), bank)
    return len(pixels)
