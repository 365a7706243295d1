"""Training in real processes: killed without warning, and shared between two by torchrun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

PROGRAM = Path(__file__).with_name("training_run.py")
STEPS = 6


def run(*arguments: object, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *launcher, str(PROGRAM), *(str(argument) for argument in arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> tuple[dict[str, torch.Tensor], str]:
    folder = tmp_path_factory.mktemp("whole")
    done = run(tiny_model, folder / "run", folder / "out.safetensors")
    assert done.returncode == 0, done.stderr
    return load_file(folder / "out.safetensors"), (folder / "run" / "history.jsonl").read_text()


@pytest.mark.parametrize("kill_at", [1, 3, 5], ids=["before the first checkpoint", "in an epoch", "in the next epoch"])
def test_killed_and_run_again_it_ends_with_the_same_weights(
    tmp_path: Path, tiny_model: str, uninterrupted: tuple[dict[str, torch.Tensor], str], kill_at: int
) -> None:
    out = tmp_path / "out.safetensors"
    killed = run(tiny_model, tmp_path / "run", out, kill_at)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == kill_at - 1

    again = run(tiny_model, tmp_path / "run", out)
    assert again.returncode == 0, again.stderr
    weights = load_file(out)
    assert weights.keys() == uninterrupted[0].keys()
    assert all(torch.equal(tensor, uninterrupted[0][name]) for name, tensor in weights.items())
    assert (tmp_path / "run" / "history.jsonl").read_text() == uninterrupted[1]


def test_two_processes_train_the_weights_of_one(
    tmp_path: Path, tiny_model: str, uninterrupted: tuple[dict[str, torch.Tensor], str]
) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = run(tiny_model, tmp_path / "run", tmp_path / "out.safetensors", launcher=launcher)
    assert done.returncode == 0, done.stderr
    weights = load_file(tmp_path / "out.safetensors")
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, uninterrupted[0][name], atol=1e-5, rtol=0, msg=name)
    losses = [[json.loads(line)["total"] for line in text.splitlines()] for text in
              (uninterrupted[1], (tmp_path / "run" / "history.jsonl").read_text())]  # fmt: skip
    assert len(losses[0]) == STEPS
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)  # and one process wrote them, once each
