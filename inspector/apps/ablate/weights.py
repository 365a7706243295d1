"""Weights of each recipe and seed, tuned once and kept."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from inspector.apps import console, model_wiring
from inspector.apps import train as training_verb
from inspector.apps.ablate.variants import Recipe
from inspector.dapo.backbone import backbone_id
from inspector.dapo.prompt_weights import LAYER_TOKENS, init_prompt_weights
from inspector.dapo.weights_file import save_weights
from inspector.datasets.opening import open_dataset
from inspector.domain.product import Vocabulary
from inspector.settings import Settings
from inspector.training.options import Step, TrainingOptions
from inspector.training.prepared import PreparedExamples
from inspector.training.trainer import Listener, train
from inspector.training.work_folder import clear_away


@dataclass(frozen=True, slots=True)
class Tuning:
    """What all recipes have in common."""

    datasets: tuple[Path, ...]
    epochs: int
    batch_size: int
    lr: float
    vocabulary: Path | None = None


class WeightsShelf:
    """Makes weights in ``folder``, or finds those an earlier run made of the same images in the same way."""

    def __init__(
        self, settings: Settings, tuning: Tuning, folder: Path, stop: threading.Event, step: Callable[[Step], None]
    ) -> None:
        self._settings = settings
        self._tuning = tuning
        self._folder = folder
        self._stop = stop
        self._step = step

    def file(self, recipe: Recipe, seed: int) -> Path:
        """Return the weights file of a recipe and seed.

        Raises:
            BadInputError: images or a model that cannot be used.
            TrainingStoppedError: told to stop; the next call goes on from there.
        """
        spec = model_wiring.model_spec(self._settings)
        request = training_verb.Request(
            datasets=self._tuning.datasets,
            out=self._folder,
            options=self._options(recipe, seed),
            synonyms=self._tuning.vocabulary,
            synthetic=self._defective() if recipe.synthetic else 0,
        )
        datasets = training_verb.datasets_of(request)
        source = training_verb.source_of(self._settings, request, spec, datasets)
        made_from = {
            "examples": source.fingerprint,
            "datasets": [one.name for one in datasets],  # the manifest names them
            "spec": asdict(spec),
            "backbone": backbone_id(spec),  # a file of frozen weights may change under its name
            "options": asdict(request.options),
            "recipe": asdict(recipe),
        }
        digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        path = self._folder / f"seed{seed}-{digest[:16]}.safetensors"
        if path.exists():
            return path
        self._folder.mkdir(parents=True, exist_ok=True)
        if not recipe.tuned:
            save_weights(path, *init_prompt_weights(spec, Vocabulary(()), seed))
            return path
        if self._settings.model.threads is not None:
            torch.set_num_threads(self._settings.model.threads)
        work = path.with_suffix(".training")
        heard = Listener(step=self._step, found=_remark_on, stop=self._stop.is_set)
        weights, manifest = train(spec, source, request.options, work, heard)
        save_weights(path, weights, training_verb.with_names(manifest, datasets))
        clear_away(work)
        return path

    def _options(self, recipe: Recipe, seed: int) -> TrainingOptions:
        return TrainingOptions(
            epochs=self._tuning.epochs,
            batch_size=self._tuning.batch_size,
            lr=self._tuning.lr,
            seed=seed,
            text_mode=recipe.text_mode,
            precision=self._settings.model.training_precision,
            layer_tokens=LAYER_TOKENS if recipe.layer_tokens is None else recipe.layer_tokens,
            false_alarm_rate=self._settings.calibration.false_alarm_rate,
        )

    def _defective(self) -> int:
        return sum(sample.anomalous for path in self._tuning.datasets for sample in open_dataset(path).samples)


def _remark_on(examples: PreparedExamples) -> None:
    for unreadable in examples.unreadable:
        console.remark(f"not tuned on: {unreadable}", "yellow")
