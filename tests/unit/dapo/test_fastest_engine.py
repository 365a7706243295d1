"""Which engine and precision a model runs in when the settings leave it open, and what cannot be asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from inspector.dapo import engine
from inspector.dapo.engine import fastest
from inspector.dapo.spec import ModelSpec
from inspector.domain.errors import BadInputError

SMALL, LARGE = ModelSpec("inspector-s"), ModelSpec("ViT-B-16", "openai")


@pytest.fixture(autouse=True)
def _forget_what_is_installed() -> Iterator[None]:
    engine._missing_said.cache_clear()
    yield
    engine._missing_said.cache_clear()


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: None)


@pytest.mark.parametrize(
    ("spec", "precision", "asked", "expected"),
    [
        (SMALL, "auto", "auto", ("fp32", "onnx")),
        (LARGE, "auto", "auto", ("fp32", "onnx")),  # 8 bits were not measured there
        (LARGE, "int8", "auto", ("int8", "onnx")),
        (SMALL, "fp32", "auto", ("fp32", "onnx")),
        (SMALL, "bf16", "auto", ("bf16", "torch")),
        (SMALL, "auto", "torch", ("fp32", "torch")),
        (SMALL, "auto", "onnx", ("fp32", "onnx")),
        (replace(SMALL, device="cuda"), "auto", "auto", ("fp32", "torch")),
        (replace(SMALL, device="cuda"), "bf16", "auto", ("bf16", "torch")),
    ],
)
def test_what_is_left_open_is_the_fastest_known_to_serve(
    spec: ModelSpec, precision: str, asked: str, expected: tuple[str, str]
) -> None:
    found = fastest(spec, precision, asked)
    assert (found.precision, found.engine) == expected
    assert replace(found, precision=spec.precision, engine=spec.engine) == spec


@pytest.mark.parametrize(
    ("spec", "precision", "asked"),
    [
        (SMALL, "int8", "torch"),
        (SMALL, "bf16", "onnx"),
        (replace(SMALL, device="cuda"), "auto", "onnx"),
        (replace(SMALL, device="cuda"), "int8", "auto"),
    ],
)
def test_what_does_not_go_together_is_refused(spec: ModelSpec, precision: str, asked: str) -> None:
    with pytest.raises(BadInputError, match="set model"):
        fastest(spec, precision, asked)


@pytest.mark.usefixtures("nothing_installed")
def test_without_the_library_it_is_torch_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = [fastest(SMALL, "auto", "auto") for _ in range(2)]
    assert {(spec.precision, spec.engine) for spec in found} == {("fp32", "torch")}
    assert len(caplog.records) == 1
    assert "onnx is not installed" in caplog.text


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(("precision", "asked"), [("int8", "auto"), ("auto", "onnx")])
def test_what_needs_a_library_that_is_not_there_is_refused(precision: str, asked: str) -> None:
    with pytest.raises(BadInputError, match="pip install onnx"):
        fastest(SMALL, precision, asked)
