"""Weights that were made to do harm: nothing in a file is executed, and what is no weights never serves.

Damage by accident (a flipped bit, a cut file, another model's tensors) is in tests/unit/dapo/test_dapo_weights_file.py.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save
from typer.testing import CliRunner

from inspector.apps import model_wiring
from inspector.cli import app
from inspector.dapo.clip import build_clip
from inspector.dapo.prompt_weights import content_version, init_prompt_weights
from inspector.dapo.spec import ModelSpec
from inspector.dapo.weights_file import load_weights
from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary
from inspector.domain.records import to_json
from inspector.settings import Settings, load
from inspector.vision.bank_file import parse_bank
from inspector.vision.golden_batch import golden_batch

SIZE_PX = 64


class _Bomb:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("as_torch", [False, True], ids=["pickle", "torch.save"])
def test_a_pickle_is_refused_and_not_executed(tmp_path: Path, as_torch: bool) -> None:
    mark, file = tmp_path / "executed", tmp_path / "weights.safetensors"
    if as_torch:
        torch.save({"normal_context": _Bomb(mark)}, file)
    else:
        file.write_bytes(pickle.dumps(_Bomb(mark)))
    with pytest.raises(BadInputError):
        load_weights(file)
    with pytest.raises(BadInputError):
        parse_bank(file.read_bytes())
    # Frozen weights of somebody's own may be a torch file, which is a pickle: read as numbers only.
    with pytest.raises(BadInputError):
        build_clip(ModelSpec("inspector-s", str(file), SIZE_PX))
    assert not mark.exists()
    pickle.loads(pickle.dumps(_Bomb(mark)))
    assert mark.exists(), "the bomb is none, and the test shows nothing"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    file = tmp_path_factory.mktemp("settings") / "inspector.yaml"
    file.write_text(yaml.safe_dump({"model": {"pretrained": "random", "image_size_px": SIZE_PX, "engine": "torch"}}))
    return load(file)


def _written(path: Path, settings: Settings, name: str, value: float, **manifest: Any) -> Path:
    """Write weights that are whole by every sum and shape, with one tensor full of ``value``."""
    weights, made = init_prompt_weights(model_wiring.model_spec(settings), Vocabulary(("scratch",)), 0)
    tensors = dict(weights.state_dict())
    tensors[name] = torch.full_like(tensors[name], value)
    changed = replace(made, **manifest)
    sealed = replace(changed, version=content_version(tensors, changed))
    path.write_bytes(save(tensors, {"manifest": to_json(sealed).decode()}))
    return path


@pytest.mark.parametrize(("name", "value"), [("visual_tokens", 3e38), ("adapters.0.weight", 3e38)])
def test_weights_that_are_finite_and_whose_scores_are_none_never_serve(
    tmp_path: Path, settings: Settings, name: str, value: float
) -> None:
    file = _written(tmp_path / "weights.safetensors", settings, name, value)
    model = settings.model.model_copy(update={"weights": file})
    model_wiring.load_prompt_weights(settings, file)  # nothing is wrong with the file itself
    with pytest.raises(BadInputError, match="golden batch"):
        model_wiring.engine(settings.model_copy(update={"model": model}))


def test_sound_weights_pass_the_golden_batch_which_is_the_same_everywhere(settings: Settings) -> None:
    model_wiring.engine(settings)
    one, other = golden_batch(SIZE_PX), golden_batch(SIZE_PX)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert all(picture.shape == (SIZE_PX, SIZE_PX, 3) for picture in one)


def test_verify_tries_the_golden_batch_and_show_steers_no_terminal(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inspector.yaml").write_text(yaml.safe_dump({"model": settings.model.model_dump(mode="json")}))
    hostile = "\x1b[2Jowned\u202e\x9b31m"
    file = _written(tmp_path / "w", settings, "visual_tokens", 3e38, vocabulary=(hostile,), created_at=hostile)
    refused = CliRunner().invoke(app, ["weights", "verify", str(file)])
    assert refused.exit_code == 1
    assert "golden batch" in refused.output
    for arguments in (["weights", "show", str(file)], ["weights", "show", str(file), "--json"]):
        shown = CliRunner().invoke(app, arguments)
        assert all(line.isprintable() for line in shown.output.split("\n")), shown.output
