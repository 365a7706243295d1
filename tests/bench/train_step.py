"""Time and memory of one training step of any model, as JSON.

    python tests/bench/train_step.py --model ViT-L-14-336-quickgelu --image-size 518 --batch 1

Random frozen weights, made-up images: neither time nor memory hangs on them. The peak is of the whole process, the
frozen towers included; ``loaded`` is what they and the interpreter take before the first step.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import torch
from torch.optim import Adam

from inspector.dapo.clip import model_shape
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.spec import ModelSpec
from inspector.domain.product import Vocabulary
from inspector.training.losses import dapo_loss
from inspector.training.prompt_model import FrozenTowers

TYPES = ("scratch", "crack", "dent", "hole", "stain", "contamination")


def peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="inspector-s")
    parser.add_argument("--image-size", type=int, default=None, help="default: the model's own")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    spec = ModelSpec(asked.model, image_size_px=asked.image_size, device=asked.device)
    shape = model_shape(spec)
    vocabulary = Vocabulary(TYPES)
    weights = init_prompt_weights(spec, vocabulary, seed=0)[0].to(asked.device)
    towers = FrozenTowers(spec)
    side, count = shape.image_size_px, asked.batch
    optimiser = Adam(weights.parameters(), lr=1e-3, betas=(0.5, 0.999))
    embedded = torch.stack([towers.embed(torch.randn(3, side, side)) for _ in range(count)]).to(asked.device)
    mask = torch.zeros(count, side, side, dtype=torch.long, device=asked.device)
    mask[:, : side // 8, : side // 8] = 1
    yes = torch.ones(count, dtype=torch.bool, device=asked.device)
    loaded, spent = peak_mb(), []
    for _ in range(asked.steps):
        started = time.perf_counter()
        scores = towers.scores(weights, embedded, [vocabulary] * count, "causal", asked.precision)
        loss = dapo_loss(scores.image_logits, scores.type_grids, scores.text_mask, mask, yes, yes).total.mean()
        forward_s = time.perf_counter() - started
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        total = loss.item()
        spent.append({"seconds": round(time.perf_counter() - started, 2), "forward_s": round(forward_s, 2)})
        if not total < float("inf"):
            raise SystemExit(f"the loss is {total}: these times mean nothing")
    facts = {
        "model": asked.model, "image_size_px": side, "patches": shape.grid[0] * shape.grid[1], "batch": count,
        "types": len(TYPES), "precision": asked.precision, "device": asked.device, "threads": torch.get_num_threads(),
        "steps": spent, "peak_rss_mb": peak_mb(), "loaded_mb": loaded,
    }  # fmt: skip
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
