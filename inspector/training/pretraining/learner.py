"""All that pretraining changes: both towers, the prompt weights, and heads that no later step needs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from inspector.dapo.layer_tokens import run_with_layer_tokens
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text_tower import causal_mask
from inspector.dapo.visual_tower import VisualFeatures, VisualTower
from inspector.training.pretraining.clip_learner import ClipLearner

_VISUAL, _PROJECTION = ("clip.visual.", "prompts.visual_tokens"), "clip.visual.proj"


class Learner(ClipLearner):
    """A CLIP model whose visual tower is a ViT: pictures are seen as the serving path sees them."""

    def __init__(
        self, spec: ModelSpec, types: Sequence[str], target_width: int, seed: int, *, fresh_text: bool = False
    ) -> None:
        """Build a model, fresh or with weights that ``spec`` names. Raises as ``build_clip`` and ``load_weights``.

        ``fresh_text``: nothing but the visual tower and its tokens is taken of those weights.
        """
        super().__init__(spec, types, seed, fresh_text=fresh_text)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.heads = nn.ModuleList(nn.Linear(self.shape.visual_width, target_width) for _ in self.shape.taps)
        self.pair_scale = nn.Parameter(torch.full((len(self.shape.taps),), 5.0))
        self.pair_shift = nn.Parameter(torch.full((len(self.shape.taps),), -2.0))
        self.peak_scale = nn.Parameter(torch.tensor(1.0))
        self.peak_shift = nn.Parameter(torch.tensor(0.0))

    def hold_visual(self, still: bool) -> None:
        """Let the visual tower and its tokens stand still, or learn again; what projects its features always learns."""
        for name, parameter in self.named_parameters():
            if name.startswith(_VISUAL) and name != _PROJECTION:
                parameter.requires_grad_(not still)

    @property
    def visual(self) -> VisualTower:
        """The tower of pictures, on this model's own weights."""
        return VisualTower(self.clip.visual, self.shape)

    def see(self, images: Tensor, corner: tuple[int, int], seen: Tensor | None = None) -> VisualFeatures:
        """Encode normalised ``images`` [B, 3, S, S], S up to the model's size; the rest as ``VisualTower.embed``."""
        visual = self.visual
        return visual.forward_embedded(visual.embed(images, corner, seen), self.prompts.visual_tokens)

    def sentences(self, captions: Sequence[str]) -> Tensor:
        """Encode whole sentences as CLIP does, without contexts or layer tokens: [B, D]."""
        tower = self.text
        ids = self._tokenizer(list(captions), self.shape.context_length).to(tower.positional_embedding.device)
        ends = ids.argmax(-1)
        ids = ids[:, : int(ends.max()) + 1]
        sequence = tower.token_embedding(ids) + tower.positional_embedding[: ids.shape[1]]
        none = sequence.new_zeros(self.shape.text_layers, 0, sequence.shape[-1])
        mask = causal_mask(ids.shape[1], ids.device)
        for output in run_with_layer_tokens(tower.transformer.resblocks, sequence, none, mask):
            sequence = output
        return tower.project(tower.ln_final(sequence[torch.arange(len(ids)), ends]))
