"""What a run that types regions changes: a convolutional tower, words, and the prompt weights beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from inspector.dapo.clip import build_clip
from inspector.dapo.conv_tower import ConvTower
from inspector.dapo.model_folder import bundled_prompts
from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.spec import BUNDLED, LOCAL_FOLDER, ModelSpec
from inspector.dapo.weights_file import load_weights
from inspector.domain.errors import BadInputError
from inspector.training.pretraining.clip_learner import ClipLearner

WORD_PROMPTS = ("normal_context", "abnormal_context", "text_tokens")
"""The parts of prompt weights that words are made with."""

_PICTURES = "visual."


@dataclass(frozen=True, slots=True)
class Words:
    """What a model knows of words: its text tower, by open_clip's names, and what rides along in the prompts."""

    tower: Mapping[str, Tensor]
    prompts: Mapping[str, Tensor]
    version: str
    """Of the prompt weights that they are from."""


class TypeLearner(ClipLearner):
    """A CLIP model whose visual tower is convolutional.

    BatchNorm keeps the statistics that the run began with, and learns its scale and shift: processes that share the
    work, the running average and checkpoints then have nothing but parameters to agree upon.
    """

    def __init__(self, spec: ModelSpec, types: Sequence[str], seed: int) -> None:
        """Build a model, fresh or with weights that ``spec`` names.

        Raises:
            BadInputError: as ``ConvTower``, ``build_clip`` and ``load_weights``.
            InspectorError: as ``build_clip``.
        """
        super().__init__(spec, types, seed)
        self.visual.visual.eval()

    @property
    def visual(self) -> ConvTower:
        """The tower of pictures, on this model's own weights."""
        return ConvTower(self.clip.visual, self.shape)

    @property
    def device(self) -> torch.device:
        """Where it learns."""
        return self.prompts.normal_context.device

    def take_trunk(self, weights: Mapping[str, Tensor]) -> None:
        """Begin with these weights and statistics of the convolutional network, by timm's names."""
        self.clip.visual.trunk.load_state_dict(weights)

    @torch.no_grad()
    def take_words(self, words: Words) -> None:
        """Begin with the words of another model.

        Raises:
            BadInputError: its text tower or its prompts are of other shapes.
        """
        mine = {**_of_words(self.clip.state_dict()), **_of_prompts(self.prompts)}
        theirs = {**words.tower, **words.prompts}
        wanted, came = ({name: list(t.shape) for name, t in tensors.items()} for tensors in (mine, theirs))
        if wanted != came:
            name = min(name for name in {*wanted, *came} if wanted.get(name) != came.get(name))
            raise BadInputError(
                f"words of a text tower as this model's, with {name} {wanted.get(name)}",
                f"{came.get(name)}",
                "take those of another model, or leave out --words-of",
            )
        for name, tensor in mine.items():
            tensor.copy_(theirs[name])


def read_words(folder: Path) -> Words:
    """Return the words of a model that types regions, whatever its visual tower is.

    Raises:
        BadInputError: there is no model with prompt weights beside it, or one that is damaged.
    """
    spec = ModelSpec(f"{LOCAL_FOLDER}{folder}", BUNDLED)
    file = bundled_prompts(spec)
    if file is None:
        raise BadInputError("a folder that pretrain-types wrote", f"{folder}", "name one after --words-of")
    prompts, manifest = load_weights(file, spec)
    return Words(_of_words(build_clip(spec).state_dict()), _of_prompts(prompts), manifest.version)


def _of_words(clip: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in clip.items() if not name.startswith(_PICTURES)}


def _of_prompts(prompts: PromptWeights) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in prompts.state_dict().items() if name in WORD_PROMPTS}
