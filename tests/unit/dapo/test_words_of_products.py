"""What becomes of names that a model has never read, and of types that it cannot tell from normal."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import inspector.dapo.text as text
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.spec import ModelSpec
from inspector.domain.product import Vocabulary

SPEC = ModelSpec("inspector-s", image_size_px=96)
TYPES = ("scratch", "dent")
OBJECT, LID = Vocabulary(TYPES), Vocabulary(TYPES, "lid")


def encoded(monkeypatch: pytest.MonkeyPatch, rows: dict[str, Tensor], *asked: Vocabulary) -> dict[Vocabulary, Tensor]:
    """Encode with a model whose T is ``rows`` by object word."""
    monkeypatch.setattr(text, "encode_vocabulary", lambda _tower, _weights, words, _mode: rows[words.object_word])
    return text.serving_texts(SPEC, init_prompt_weights(SPEC, OBJECT, 0)[0], asked, "causal")


def test_a_product_whose_name_the_model_takes_for_a_defect_is_inspected_as_any_object(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    normal, scratch, dent = torch.eye(3)
    rows = {"object": torch.stack([normal, scratch, dent]), "lid": torch.stack([scratch, scratch, dent])}
    found = encoded(monkeypatch, rows, OBJECT, LID)
    assert torch.equal(found[LID], rows["object"])
    (said,) = caplog.messages
    assert "does not know what a normal lid is" in said


def test_a_name_that_the_model_knows_is_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    normal, scratch, dent = torch.eye(3)
    lid = torch.nn.functional.normalize(normal + 0.3 * dent, dim=0)
    rows = {"object": torch.stack([normal, scratch, dent]), "lid": torch.stack([lid, scratch, dent])}
    assert torch.equal(encoded(monkeypatch, rows, LID)[LID], rows["lid"])
    assert not caplog.messages


def test_types_that_the_model_cannot_tell_from_normal_are_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    normal, dent = torch.eye(2)
    encoded(monkeypatch, {"object": torch.stack([normal, normal, dent])}, OBJECT)
    (said,) = caplog.messages
    assert "cannot tell scratch from what is normal" in said
