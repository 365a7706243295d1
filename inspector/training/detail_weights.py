"""Writes the weights of details into the package: EfficientNet-Lite0's first stages, norms folded, in half precision.

python -m inspector.training.detail_weights inspector/models/efficientnet-lite0
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from inspector.dapo.model_folder import SUMS_FILE, sums_text
from inspector.files import write_whole
from inspector.training.imagenet import efficientnet_lite0
from inspector.vision.detail_net import WEIGHTS_FILE, DetailNet, convolutions

_EPSILON = 1e-3  # of the network's norms


def folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of ``DetailNet``, float16: each convolution with the norm that follows it.

    Args:
        weights: of the whole network, in its order: a convolution's kernel, then its norm's weight, bias, mean and
            variance.

    Raises:
        ValueError: they are another network's.
    """
    ordered = [tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")]
    net = DetailNet((0.0,) * 3, (1.0,) * 3)
    wanted, found = net.state_dict(), {}
    for number, name in enumerate(convolutions(net)):
        kernel, weight, bias, mean, variance = ordered[5 * number : 5 * number + 5]
        if kernel.shape != wanted[f"{name}.weight"].shape:
            raise ValueError(f"{list(kernel.shape)} where {name} is {list(wanted[f'{name}.weight'].shape)}")
        gain = weight / (variance + _EPSILON).sqrt()
        found[f"{name}.weight"] = (kernel * gain.view(-1, 1, 1, 1)).half()
        found[f"{name}.bias"] = (bias - mean * gain).half()
    return found


def main() -> None:
    """Write the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    data = save(
        {
            name: tensor.contiguous()
            for name, tensor in folded(efficientnet_lite0("without them nothing can be written")).items()
        }
    )
    write_whole(folder / WEIGHTS_FILE, data)
    write_whole(folder / SUMS_FILE, sums_text({WEIGHTS_FILE: hashlib.sha256(data).hexdigest()}).encode())


if __name__ == "__main__":
    main()
