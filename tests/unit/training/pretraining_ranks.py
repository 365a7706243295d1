"""Run by torchrun: two short runs, and each process keeps its weights in FOLDER: three pairs a step, then one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pretraining_kit as kit
import torch
from safetensors.torch import save_file

from inspector.training.pretraining import run
from inspector.training.pretraining.options import PretrainingListener
from inspector.training.processes import joined

run._MOMENTS_PAIRS = 2
torch.set_num_threads(1)
folder = Path(sys.argv[1])
with joined("cpu") as processes:
    for pairs in (3, 1):
        options = replace(kit.SHORT, pairs_a_step=pairs)
        work = folder / f"{pairs}.training"
        made = run.pretrain(kit.TINY, kit.RENDERED, options, 2, work, PretrainingListener(), kit.SAVING, processes)
        weights = {name: tensor.clone() for name, tensor in kit.tensors(made).items()}
        save_file(weights, folder / f"{pairs}-{processes.rank}.safetensors")
