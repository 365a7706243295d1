"""T, the text side of DAPO: a constant of weights, vocabulary, object word and text mode, never encoded per frame."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn import functional

from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text_tower import TextTower, load_text_tower
from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary
from inspector.domain.weights import TextMode

# A cosine: of two such rows the probabilities of any patch differ by a factor of 17 at most, where a model that knows
# the words tells normal from defect by many thousands.
_LIKE_NORMAL = 0.98


def encode_vocabularies(
    spec: ModelSpec, weights: PromptWeights, vocabularies: Collection[Vocabulary], text_mode: TextMode = "causal"
) -> dict[Vocabulary, Tensor]:
    """Encode each vocabulary once; the text tower is built for it and leaves memory afterwards.

    Returns:
        For each vocabulary T, float32 [1+K, D] on the CPU, rows of length 1: row 0 normal, then each defect type.

    Raises:
        BadInputError: a vocabulary is empty, has a blank word, or a prompt is longer than the model's context.
        InspectorError: as ``build_clip``.
    """
    for vocabulary in vocabularies:
        _check(vocabulary)
    if not vocabularies:
        return {}
    tower = load_text_tower(spec)
    with torch.no_grad():
        return {v: encode_vocabulary(tower, weights, v, text_mode).float().cpu() for v in dict.fromkeys(vocabularies)}


def like_normal(vocabulary: Vocabulary, text: Tensor) -> tuple[str, ...]:
    """Return the defect types of a vocabulary whose row of its T [1+K, D] is hardly another than normal's.

    No patch can tell the two apart, so such a type is found everywhere or, with the others, in the place of normal.
    """
    alike = (text[1:] @ text[0] > _LIKE_NORMAL).tolist()
    return tuple(name for name, as_normal in zip(vocabulary.defect_types, alike, strict=True) if as_normal)


def encode_vocabulary(tower: TextTower, weights: PromptWeights, vocabulary: Vocabulary, text_mode: TextMode) -> Tensor:
    """Return T of one vocabulary, [1+K, D] with rows of length 1; differentiable in ``weights``."""
    device = tower.positional_embedding.device
    layer_tokens = weights.text_tokens.to(device)
    normal, abnormal = weights.normal_context.to(device), weights.abnormal_context.to(device)
    word = vocabulary.object_word
    prompts = [(f"normal {word}", normal), *((f"{name} anomaly {word}", abnormal) for name in vocabulary.defect_types)]
    rows = [tower(phrase, context, layer_tokens, text_mode).mean(0) for phrase, context in prompts]
    return functional.normalize(torch.stack(rows), dim=-1)


def _check(vocabulary: Vocabulary) -> None:
    words = (*vocabulary.defect_types, vocabulary.object_word)
    if not vocabulary.defect_types or not all(word.strip() for word in words):
        raise BadInputError(
            "at least one defect type, and no blank word",
            f"defect types {list(vocabulary.defect_types)}, object {vocabulary.object_word!r}",
            "name the defects as plain text, such as scratch or bent lead",
        )
