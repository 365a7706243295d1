"""One short training run as a program of its own, to be killed or shared: MODEL FOLDER OUT [KILL_AT].

Writes the trained tensors to OUT. With KILL_AT the process kills itself (SIGKILL) during that step.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from inspector.dapo.spec import ModelSpec
from inspector.domain.product import Vocabulary
from inspector.training import batch
from inspector.training.examples import TrainingExample
from inspector.training.options import Effort, TrainingOptions
from inspector.training.processes import joined
from inspector.training.trainer import train

SIDE = 64
VOCABULARIES = (Vocabulary(("scratch", "dent")), Vocabulary(("scratch", "stain", "hole"), "board"))
COUNT = 11
OPTIONS = TrainingOptions(epochs=2, batch_size=4, seed=5)  # the last batch of an epoch has three images


class Squares:
    """Noisy pictures of 64 px, every second with a bright square on it."""

    fingerprint = hashlib.sha256(b"squares").hexdigest()

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int, /) -> TrainingExample:
        pixels = np.random.default_rng(index).integers(90, 150, (SIDE, SIDE, 3), np.uint8)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        if index % 2:
            mask[8:32, 8 + index : 40 + index] = 1 + index % 2
            pixels[mask > 0] = (250, 240, 40)
        return TrainingExample(pixels, mask, bool(index % 2), VOCABULARIES[index % 3 == 0])


def kill_in_step(number: int) -> None:
    """Die in the middle of step ``number``: losses are known, the weights not yet changed."""
    loss, calls = batch.dapo_loss, iter(range(1, 1000))

    def deadly(*arguments: torch.Tensor) -> object:
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(*arguments)  # type: ignore[arg-type]  # what dapo_loss takes

    batch.dapo_loss = deadly  # type: ignore[assignment]  # the same but for its end


def main(model: str, folder: str, out: str, kill_at: str | None = None) -> None:
    torch.set_num_threads(1)
    if kill_at is not None:
        kill_in_step(int(kill_at))
    with joined("cpu") as processes:
        effort = Effort(checkpoint_every_s=0)
        weights, _ = train(ModelSpec(model), Squares(), OPTIONS, Path(folder), effort=effort, processes=processes)
    if processes.writes:
        save_file({name: tensor.detach().contiguous() for name, tensor in weights.state_dict().items()}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
