"""T, the text side of DAPO: a constant of weights, vocabulary, object word and text mode, never encoded per frame."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text_tower import TextTower, load_text_tower
from inspector.domain.errors import BadInputError
from inspector.domain.product import ANY_OBJECT, Vocabulary
from inspector.domain.weights import TextMode

_LOG = logging.getLogger(__name__)
# Cosines. Of a dozen products they were .90 to 1.00 with a model that had read names beside "object", and -.29 to .40
# with one that had read "object" alone.
_SAME_NORMAL = 0.7
# Of two such rows the probabilities of any patch differ by a factor of 17 at most, where a model that knows
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


def serving_texts(
    spec: ModelSpec, weights: PromptWeights, vocabularies: Collection[Vocabulary], text_mode: TextMode
) -> dict[Vocabulary, Tensor]:
    """Return T of each vocabulary as ``encode_vocabularies`` does, without the names of products that are unknown.

    A model that has read only "object" may take the name of a product for a defect, and every frame of it with it.
    Where a normal one of the product is another direction than a normal object, T is that of any object, and the log
    says so; also of which types T cannot tell from normal. Raises as ``encode_vocabularies``.
    """
    of_any = {vocabulary: replace(vocabulary, object_word=ANY_OBJECT) for vocabulary in vocabularies}
    encoded = encode_vocabularies(spec, weights, [*of_any, *of_any.values()], text_mode)
    return {
        vocabulary: _told_apart(vocabulary, encoded[vocabulary], encoded[unnamed])
        for vocabulary, unnamed in of_any.items()
    }


def _told_apart(vocabulary: Vocabulary, text: Tensor, of_any: Tensor) -> Tensor:
    """Return T of a vocabulary, or that of any object where the model does not know the product's name."""
    if float(text[0] @ of_any[0]) < _SAME_NORMAL:
        _LOG.warning(
            "the model does not know what a normal %s is: its product is inspected as %r",
            vocabulary.object_word,
            ANY_OBJECT,
        )
        text = of_any
    if alike := like_normal(vocabulary, text):
        _LOG.warning(
            "the model cannot tell %s from what is normal: zero-shot scores mean nothing there; "
            "tune prompt weights with these words",
            ", ".join(alike),
        )
    return text


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
