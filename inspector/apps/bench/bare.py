"""The bare model: the vision tower on ready-made tensors, the bound that nothing around it can beat.

Where torch is the engine it is open_clip's own tower, else the same blocks in the inspector's engine.

It runs in a process and a session of its own, as the inspector does: Linux shares a busy machine by session
(sched_autogroup), and in ours the model would compete with the whole bench.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from inspector.dapo.spec import ModelSpec
from inspector.domain.errors import InspectorError

_STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class BareJob:
    """What to run: the inspector's architecture, weights, precision, engine, batch size and number of threads."""

    spec: dict[str, Any]
    batch: int
    threads: int
    repeats: int


class BareModel:
    """The process, from our side."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.parameters_m = float(self._answer())

    def frames_per_s(self) -> float:
        """Run the batches of the job and return the median rate."""
        if self._process.stdin is not None:
            print("run", file=self._process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        answer = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not answer:
            raise InspectorError("the bare model to run", "its process ended", "see its last words above")
        return answer


@contextmanager
def bare_model(spec: ModelSpec, batch: int, threads: int, repeats: int) -> Iterator[BareModel]:
    """Yield the model in its process, which ends with the block.

    Raises:
        InspectorError: it cannot be run.
    """
    job = BareJob(asdict(spec), batch, threads, repeats)
    with subprocess.Popen(
        [sys.executable, "-m", __spec__.name, json.dumps(asdict(job))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield BareModel(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()  # the end of its input ends it
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _serve(job: BareJob) -> None:
    """In the process: print the size of the tower (millions of parameters), then one rate for each line read."""
    import torch

    from inspector.dapo.clip import build_clip, model_shape
    from inspector.dapo.scorer import onnx_tower
    from inspector.dapo.visual_tower import VisualTower

    torch.set_num_threads(job.threads)
    spec = ModelSpec(**job.spec)
    clip: Any = build_clip(spec)  # torch types every attribute of a module as a tensor or a module
    tower = clip.visual.to(spec.device)
    del clip
    shape = model_shape(spec)
    side = shape.image_size_px
    images = torch.randn(job.batch, 3, side, side, generator=torch.Generator().manual_seed(spec.seed)).to(spec.device)

    no_tokens = torch.empty(shape.visual_layers, 0, shape.visual_width)
    in_onnx = onnx_tower(VisualTower(tower, shape), no_tokens, spec) if spec.engine == "onnx" else None

    @torch.inference_mode()
    def batch_s() -> float:
        started_s = time.perf_counter()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=spec.precision == "bf16"):
            pooled = tower(images) if in_onnx is None else in_onnx(images).image
            pooled.float().cpu()  # a GPU has to finish before the clock stops
        return time.perf_counter() - started_s

    print(sum(p.numel() for p in tower.parameters()) / 1e6, flush=True)
    for _ in sys.stdin:
        batch_s()  # warms up
        print(job.batch / median(batch_s() for _ in range(job.repeats)), flush=True)


if __name__ == "__main__":
    _serve(BareJob(**json.loads(sys.argv[1])))
