"""CLIP's text transformer with layer tokens, learnable contexts and pooling at the true end token."""

from __future__ import annotations

from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from inspector.dapo.clip import build_clip, model_shape
from inspector.dapo.layer_tokens import run_with_layer_tokens
from inspector.dapo.spec import ModelSpec
from inspector.domain.errors import BadInputError
from inspector.domain.weights import TextMode


class TextTower(nn.Module):
    """A frozen open_clip text tower, run through its own modules with layer tokens after SOT.

    Differentiable in contexts and layer tokens.
    """

    def __init__(self, text: Any, tokenizer: Any, context_length: int) -> None:
        super().__init__()
        # The parts by name: in open_clip's older layout they hang on the whole model, with the visual tower beside.
        self.token_embedding = text.token_embedding
        self.positional_embedding = text.positional_embedding
        self.transformer = text.transformer
        self.ln_final = text.ln_final
        self.text_projection = text.text_projection
        self.context_length = context_length
        self._tokenizer = tokenizer

    def forward(self, phrase: str, context: Tensor, layer_tokens: Tensor, mode: TextMode) -> Tensor:
        """Encode the hybrid prompt ``[context] phrase`` under each of E contexts.

        Args:
            phrase: plain text that follows the learnable context.
            context: float [E, l, D_text].
            layer_tokens: float [L_t, n, D_text].
            mode: "causal" keeps CLIP's mask, extended to the layer tokens; "bidirectional" drops it.

        Returns:
            Projected features at the end token, float [E, D], not normalised.

        Raises:
            BadInputError: the prompt is longer than the model's context.
        """
        ids, end = self.token_ids(phrase, context.shape[1])
        if mode == "causal":
            ids = ids[: end + 1]  # what follows the end token cannot reach it, so it need not be computed
        embedded = self.token_embedding(ids).expand(len(context), -1, -1)
        start, rest = embedded[:, :1], embedded[:, 1 + context.shape[1] :]
        sequence = torch.cat([start, context, rest], dim=1) + self.positional_embedding[: len(ids)]
        length = len(ids) + layer_tokens.shape[1]
        mask = causal_mask(length, sequence.device) if mode == "causal" else None
        for output in run_with_layer_tokens(self.transformer.resblocks, sequence, layer_tokens, mask):
            sequence = output
        pooled = self.ln_final(sequence[:, end + layer_tokens.shape[1]])
        return self.project(pooled)

    def token_ids(self, phrase: str, context_tokens: int) -> tuple[Tensor, int]:
        """Return ids [context_length] of SOT, room for the context, the phrase, EOT and padding; EOT's position.

        Raises:
            BadInputError: the prompt is longer than the model's context.
        """
        words = self._tokenizer.encode(phrase)
        end = 1 + context_tokens + len(words)
        if end >= self.context_length:
            raise BadInputError(
                f"a prompt of at most {self.context_length - 2 - context_tokens} tokens",
                f"{len(words)} tokens in {phrase[:60]!r}",
                "shorten the defect type or the object word",
            )
        ids = torch.zeros(self.context_length, dtype=torch.long)
        ids[0], ids[end] = self._tokenizer.sot_token_id, self._tokenizer.eot_token_id
        ids[1 + context_tokens : end] = torch.tensor(words, dtype=torch.long)
        return ids.to(self.positional_embedding.device), end

    def project(self, pooled: Tensor) -> Tensor:
        """Return ``pooled``, float [B, D_text], in the space that texts and images share, [B, D]."""
        if self.text_projection is None:
            return pooled
        linear = isinstance(self.text_projection, nn.Linear)
        projected: Tensor = self.text_projection(pooled) if linear else pooled @ self.text_projection
        return projected


def load_text_tower(spec: ModelSpec) -> TextTower:
    """Build the text tower of ``spec`` on its device, leaving the visual tower behind. Raises as ``build_clip``."""
    clip = build_clip(spec)
    tokenizer = open_clip.get_tokenizer(spec.name)
    return TextTower(getattr(clip, "text", clip), tokenizer, model_shape(spec).context_length).eval().to(spec.device)


def causal_mask(length: int, device: torch.device) -> Tensor:
    """Return an additive mask [length, length]: position i sees positions 0..i, layer tokens included."""
    return torch.full((length, length), -torch.inf, device=device).triu_(1)
