"""A run's state between two steps, on disk: enough to go on as if nothing had happened. Safetensors, never a pickle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Adam

from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json, to_json
from inspector.files import write_whole

CHECKPOINT_SCHEMA = "inspection.checkpoint/1"
_KEY = "position"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands: ``step`` optimiser steps are done. ``run`` identifies the run (options, model, examples)."""

    run: str
    step: int
    schema: str = CHECKPOINT_SCHEMA


def save_checkpoint(path: Path, weights: nn.Module, optimiser: Adam, position: Position) -> None:
    """Write the tensors, Adam's moments and the position; whole, or not at all. Raises ``OSError``."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in weights.named_parameters():
        tensors[f"weights.{name}"] = parameter.detach().cpu().contiguous()
        for key, value in optimiser.state.get(parameter, {}).items():
            tensors[f"adam.{key}.{name}"] = value.detach().cpu().contiguous()
    write_whole(path, save(tensors, {_KEY: to_json(position).decode()}), alone=True)


def load_checkpoint(path: Path, weights: nn.Module, optimiser: Adam, run: str) -> int:
    """Put a checkpoint's tensors into ``weights`` and ``optimiser``; return the number of steps done, 0 without a file.

    Raises:
        BadInputError: the file is damaged or of another run.
    """
    if not path.exists():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            position = from_json(Position, (file.metadata() or {}).get(_KEY, ""))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # safe_open is no mapping
        if position.run != run:
            raise BadInputError("a checkpoint of this run", "one of another", "begin anew with --restart")
        _restore(tensors, weights, optimiser)
    except (SafetensorError, OSError, KeyError, RuntimeError, BadInputError) as error:
        raise BadInputError(
            "the whole checkpoint of this run", f"{path}: {str(error)[:200]}", "begin anew with --restart"
        ) from error
    return position.step


def _restore(tensors: dict[str, Tensor], weights: nn.Module, optimiser: Adam) -> None:
    with torch.no_grad():
        for name, parameter in weights.named_parameters():
            parameter.copy_(tensors[f"weights.{name}"])
            state = {key: tensors.get(f"adam.{key}.{name}") for key in ("step", "exp_avg", "exp_avg_sq")}
            if all(value is not None for value in state.values()):
                # The count of steps stays on the CPU, where Adam keeps it.
                optimiser.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device)  # type: ignore[union-attr]  # no None
                    for key, value in state.items()
                }
