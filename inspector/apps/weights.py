"""``inspector weights``: make, show and verify prompt-weights files."""

from __future__ import annotations

from pathlib import Path

from inspector.apps import console, model_wiring
from inspector.dapo.weights_file import save_weights, verify_weights
from inspector.domain.errors import BadInputError
from inspector.domain.weights import WeightsManifest
from inspector.settings import Settings


def init(settings: Settings, path: Path, overwrite: bool, as_json: bool) -> None:
    """Write freshly initialised weights for the configured model; their text side is not trained.

    Raises:
        BadInputError: the file exists and ``overwrite`` is not set, or it cannot be written.
    """
    if path.exists() and not overwrite:
        raise BadInputError("a new file", f"{path}, which exists", "choose another name, or add --force")
    with console.status("loading the model"):
        weights, manifest = model_wiring.fresh_weights(settings)
    _print(save_weights(path, weights, manifest), path, as_json)


def show(settings: Settings, path: Path | None, as_json: bool) -> None:
    """Print the manifest of a weights file, verified for any model. Raises as ``verify_weights``."""
    where = _path(settings, path)
    _print(verify_weights(where), where, as_json)


def verify(settings: Settings, path: Path | None, as_json: bool) -> None:
    """Verify a weights file in every respect, that it was made for the configured model, and what it gives with it.

    Raises:
        BadInputError: the first thing that does not hold.
    """
    where = _path(settings, path)
    with console.status("loading the model"):
        weights, manifest = model_wiring.load_prompt_weights(settings, where)
        model_wiring.engine_of(settings, weights, manifest, {}, {}, allow_unknown=True).check_golden_batch()
    if as_json:
        console.print_json({"file": str(where), "version": manifest.version, "ok": True})
        return
    console.lines([f"ok {where} version {manifest.version}"])


def threshold_text(raw: float) -> str:
    """Return a raw threshold in four digits; as what it lacks of 1, where they would be a 1 that no score exceeds."""
    text = f"{raw:.4g}"
    return f"1 - {1 - raw:.2g}" if text == "1" and raw < 1 else text


def threshold_texts(manifest: WeightsManifest) -> str:
    """Return both raw thresholds in words."""
    return f"image {threshold_text(manifest.image_threshold)}, pixel {threshold_text(manifest.pixel_threshold)}"


def _path(settings: Settings, path: Path | None) -> Path:
    chosen = path or model_wiring.weights_file(settings)
    if chosen is None:
        raise BadInputError("a weights file", "none", "name one, or set model.weights")
    return chosen


def _print(manifest: WeightsManifest, path: Path, as_json: bool) -> None:
    if as_json:
        console.print_record(manifest)
        return
    made = console.table("", "")
    made.show_header = False
    rows = {
        "file": path,
        "version": manifest.version,
        "model": f"{manifest.model} / {manifest.pretrained} at {manifest.image_size_px} px",
        "frozen weights": manifest.backbone,
        "text side": "trained" if manifest.trained else "NOT trained: scores mean something on enrolled cameras only",
        "tuned on": ", ".join(manifest.tuned_on) or "-",
        "text mode": manifest.text_mode,
        "vocabulary": ", ".join(manifest.vocabulary) or "-",
        "prompts": f"{manifest.contexts} contexts of {manifest.context_tokens} tokens",
        "layer tokens": f"{manifest.text_layer_tokens} text, {manifest.visual_layer_tokens} visual",
        "tapped layers": ", ".join(str(tap) for tap in manifest.taps),
        "image score": manifest.image_score,
        "thresholds": f"{threshold_texts(manifest)} (raw zero-shot scores)",
        "created": manifest.created_at or "-",
    }
    for name, value in rows.items():
        made.add_row(console.cell(name, "bold"), console.cell(value))
    console.print_table(made)
