"""Pretraining shared between two processes by torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretraining_kit import SHORT, run, tensors
from safetensors.torch import load_file

import inspector.training.pretraining.run as loop


def test_two_processes_end_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    program = Path(__file__).with_name("pretraining_ranks.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, str(program), str(tmp_path)], capture_output=True, text=True, timeout=280, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for pairs in (3, 1):
        one, other = (load_file(tmp_path / f"{pairs}-{rank}.safetensors") for rank in (0, 1))
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
        assert len((tmp_path / f"{pairs}.training" / "history.jsonl").read_text().splitlines()) == 2
    # Of one pair a step the second process has none, and adds nothing.
    monkeypatch.setattr(loop, "_MOMENTS_PAIRS", 2)
    alone = tensors(run(tmp_path / "alone", 2, options=replace(SHORT, pairs_a_step=1)))
    assert all(torch.equal(tensor, alone[name]) for name, tensor in one.items())
