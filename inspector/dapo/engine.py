"""Which engine and precision score fastest on a machine, by what was measured (``inspector bench`` measures yours)."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import Literal

from inspector.dapo.spec import Engine, ModelSpec, ServingPrecision
from inspector.domain.errors import BadInputError

_log = logging.getLogger(__name__)
_NEEDED = ("onnx", "onnxruntime")


def fastest(
    spec: ModelSpec, precision: ServingPrecision | Literal["auto"], engine: Engine | Literal["auto"]
) -> ModelSpec:
    """Return ``spec`` with the precision and engine asked for, or the fastest that are known to serve for "auto".

    On a CPU that is ONNX Runtime, elsewhere torch, both at fp32. 8 bits are faster on a CPU but cost the bundled model
    a point of image AUROC on one set (deploy/decisions/0010): they are asked for by name.
    Without the library it is torch, and a warning says so once.

    Raises:
        BadInputError: precision and engine, or engine and device, do not go together; the library asked for is missing.
    """
    onnx_can = _on_cpu(spec) and precision != "bf16"
    if engine == "auto":
        engine = "onnx" if onnx_can and (precision == "int8" or not _missing_said()) else "torch"
    if engine == "onnx":
        _check_onnx(spec, precision)
    elif precision == "int8":
        raise BadInputError("fp32 or bf16 where torch is the engine", "int8", "set model.engine to onnx or auto")
    if precision == "auto":
        precision = "fp32"
    return replace(spec, precision=precision, engine=engine)


def _check_onnx(spec: ModelSpec, precision: str) -> None:
    if not _on_cpu(spec):
        todo = "set model.engine to torch or auto, and model.precision to fp32 or bf16"
        raise BadInputError("the CPU as the device of ONNX Runtime and of int8", spec.device, todo)
    if precision == "bf16":
        raise BadInputError("fp32 or int8 where ONNX Runtime is the engine", "bf16", "set model.engine to torch")
    if missing := _missing():
        raise BadInputError("onnx and onnxruntime to be installed", f"no {missing}", f"pip install {missing}")


def _on_cpu(spec: ModelSpec) -> bool:
    return spec.device.partition(":")[0] == "cpu"


def _missing() -> str | None:
    return next((name for name in _NEEDED if find_spec(name) is None), None)


@cache
def _missing_said() -> bool:
    """Tell whether a library is missing, and say so the first time."""
    missing = _missing()
    if missing:
        _log.warning("the model runs in torch at fp32: %s is not installed, with which it takes half the time", missing)
    return missing is not None
