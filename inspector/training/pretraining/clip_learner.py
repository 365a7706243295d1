"""A CLIP model with prompt weights beside it, all of it trainable: what every run that trains whole models changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from inspector.dapo.clip import build_clip, model_shape
from inspector.dapo.layer_tokens import run_with_layer_tokens
from inspector.dapo.model_folder import bundled_prompts
from inspector.dapo.prompt_weights import PromptWeights, init_prompt_weights
from inspector.dapo.spec import RANDOM, ModelSpec
from inspector.dapo.text_tower import TextTower, causal_mask
from inspector.dapo.weights_file import load_weights
from inspector.domain.product import ANY_OBJECT, Vocabulary


class ClipLearner(nn.Module):
    """Both towers and the prompt weights; words are read as the serving path reads them."""

    def __init__(self, spec: ModelSpec, types: Sequence[str], seed: int, *, fresh_text: bool = False) -> None:
        """Build a model, fresh or with weights that ``spec`` names. Raises as ``build_clip`` and ``load_weights``.

        ``fresh_text``: nothing but the visual tower and its tokens is taken of those weights.
        """
        super().__init__()
        clip: Any = build_clip(spec)
        if fresh_text:
            fresh: Any = build_clip(replace(spec, pretrained=RANDOM))
            fresh.visual = clip.visual
            clip = fresh
        clip.train().requires_grad_(True)
        self.shape = model_shape(spec)
        self.clip = clip
        self.prompts, self.manifest = init_prompt_weights(spec, Vocabulary(tuple(types)), seed)
        if (file := bundled_prompts(spec)) is not None:
            self._take(load_weights(file, spec)[0], fresh_text=fresh_text)
        self._tokenizer = open_clip.get_tokenizer(spec.name)

    def _take(self, tuned: PromptWeights, *, fresh_text: bool) -> None:
        """Take over tuned prompt weights, or the visual tokens alone."""
        if fresh_text:
            self.prompts.visual_tokens = tuned.visual_tokens
        else:
            self.prompts = tuned

    @property
    def text(self) -> TextTower:
        """The tower of words, on this model's own weights."""
        return TextTower(getattr(self.clip, "text", self.clip), self._tokenizer, self.shape.context_length)

    def words(self, types: Sequence[str], contexts: Sequence[int], object_word: str = ANY_OBJECT) -> Tensor:
        """Return T, [1+K, D] with rows of length 1, from some of the context variants: a step need not see all.

        All prompts in one pass, as ``TextTower.forward`` makes each of them.
        """
        tower, chosen, ride_along = self.text, list(contexts), self.prompts.text_tokens
        normal, abnormal = self.prompts.normal_context[chosen], self.prompts.abnormal_context[chosen]
        phrases = [f"normal {object_word}", *(f"{name} anomaly {object_word}" for name in types)]
        ids, ends = zip(*(tower.token_ids(phrase, normal.shape[1]) for phrase in phrases), strict=True)
        # One lookup: the gradient of each is as large as the whole vocabulary.
        embedded = tower.token_embedding(torch.stack(ids)[:, : max(ends) + 1])
        embedded = embedded[:, None].expand(-1, len(chosen), -1, -1)
        context = torch.stack([normal, *([abnormal] * len(types))])
        sequence = torch.cat([embedded[:, :, :1], context, embedded[:, :, 1 + context.shape[2] :]], dim=2)
        sequence = (sequence + tower.positional_embedding[: sequence.shape[2]]).flatten(0, 1)
        # Under the causal mask no end sees the padding that longer prompts put behind it.
        mask = causal_mask(sequence.shape[1] + ride_along.shape[1], sequence.device)
        for output in run_with_layer_tokens(tower.transformer.resblocks, sequence, ride_along, mask):
            sequence = output
        rows = torch.arange(len(sequence)) * sequence.shape[1] + ride_along.shape[1]
        places = rows + torch.tensor(ends).repeat_interleave(len(chosen))
        pooled = tower.ln_final(sequence.flatten(0, 1).index_select(0, places.to(sequence.device)))
        features = tower.project(pooled).view(len(phrases), len(chosen), -1).mean(1)
        return nn.functional.normalize(features, dim=-1)

    def decayed(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return (matrices, which weight decay pulls on; everything else)."""
        named = dict(self.named_parameters())
        free = ("embedding", "context", "tokens", "pair_")
        pulled = [n for n, p in named.items() if p.ndim >= 2 and not any(word in n for word in free)]
        return [named[n] for n in pulled], [p for n, p in named.items() if n not in set(pulled)]
