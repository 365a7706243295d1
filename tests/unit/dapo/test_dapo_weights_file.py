"""A weights file is taken only when it is whole, and says why when it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dapo_models import PLATE, TINY
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from inspector import files
from inspector.dapo.backbone import backbone_id
from inspector.dapo.prompt_weights import PromptWeights, content_hash, content_version, init_prompt_weights
from inspector.dapo.spec import ModelSpec
from inspector.dapo.weights_file import load_weights, parse_weights, save_weights, verify_weights
from inspector.domain.errors import BadInputError
from inspector.domain.records import to_json
from inspector.domain.weights import WeightsManifest

Made = tuple[PromptWeights, WeightsManifest]


def _file(path: Path, tensors: dict[str, torch.Tensor], manifest: WeightsManifest) -> Path:
    """Write a file that is right by its own hash, whatever is in it."""
    sealed = replace(manifest, version=content_version(tensors, manifest))
    path.write_bytes(save(tensors, {"manifest": to_json(sealed).decode()}))
    return path


def test_round_trip_gives_the_same_tensors_and_manifest(tmp_path: Path, tiny: Made) -> None:
    weights, manifest = tiny
    path = tmp_path / "weights.safetensors"
    sealed = save_weights(path, weights, manifest)
    loaded, read = load_weights(path, TINY)
    assert read == sealed == verify_weights(path)
    assert sealed.version == manifest.version
    assert loaded.state_dict().keys() == weights.state_dict().keys()
    assert all(torch.equal(loaded.state_dict()[n], t) for n, t in weights.state_dict().items())
    assert all(p.requires_grad for p in loaded.parameters())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("change", [{"colour": "blue", "nested": {"deep": [1, 2]}}, {"tuned_on": None}], ids=str)
def test_a_file_of_another_minor_version_is_read_whatever_fields_it_hashed(
    tmp_path: Path, tiny: Made, change: dict[str, object]
) -> None:
    weights, manifest = tiny
    document = {**json.loads(to_json(manifest)), **change, "schema": "inspection.weights/1.1", "version": ""}
    document = {name: value for name, value in document.items() if value is not None}

    def compact() -> bytes:
        return json.dumps(document, separators=(",", ":")).encode()

    document["version"] = content_hash(weights.state_dict(), compact())
    path = tmp_path / "weights.safetensors"
    path.write_bytes(save(dict(weights.state_dict()), {"manifest": compact().decode()}))
    loaded, read = load_weights(path, TINY)
    assert read == replace(manifest, version=read.version, schema="inspection.weights/1.1")
    assert torch.equal(loaded.visual_tokens, weights.visual_tokens)
    path.write_bytes(path.read_bytes().replace(b"1.1", b"1.2"))
    with pytest.raises(BadInputError, match="hashes to"):
        verify_weights(path)


def test_fresh_weights_follow_the_paper(tiny: Made) -> None:
    weights, manifest = tiny
    assert weights.normal_context.shape == weights.abnormal_context.shape == (10, 5, 48)
    assert weights.text_tokens.shape == (3, 4, 48)
    assert weights.visual_tokens.shape == (4, 4, 32)
    assert [tuple(a.weight.shape) for a in weights.adapters] == [(24, 32)] * 4
    bound = (6 / (3 * 8 * 8 + 32)) ** 0.5
    assert 0.9 * bound < weights.visual_tokens.abs().max() <= bound
    assert weights.normal_context.std().item() == pytest.approx(0.02, rel=0.1)  # CLIP's token embeddings
    assert (manifest.trained, manifest.taps, manifest.vocabulary) == (False, (1, 2, 3, 4), ("scratch", "dent"))


def test_the_version_changes_with_a_tensor_and_with_the_manifest(tiny: Made) -> None:
    weights, manifest = tiny
    tensors = dict(weights.state_dict())
    assert content_version(tensors, replace(manifest, image_threshold=0.6)) != manifest.version
    tensors["visual_tokens"] = tensors["visual_tokens"] + 1e-6
    assert content_version(tensors, manifest) != manifest.version
    assert init_prompt_weights(TINY, PLATE, seed=2)[1].version != manifest.version


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, tiny: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(BadInputError, match="No space left"):
        save_weights(path, *tiny)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _flip(data: bytes) -> bytes:
    return data[:-7] + bytes([data[-7] ^ 1]) + data[-6:]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_flip, "hashes to"),
        (lambda data: data[: len(data) // 2], "whole safetensors file"),
        (lambda data: data[:20], "header"),
        (lambda data: b"", "a safetensors file, got 0 bytes"),
        (lambda data: b"\x89PNG\r\n\x1a\n" + bytes(100), "header"),
        (lambda data: b"\x80\x04" + bytes(3000), "JSON"),
        (lambda data: (1 << 62).to_bytes(8, "little") + data[8:], "header"),
        (lambda data: (2 << 20).to_bytes(8, "little") + bytes(3 << 20), "header"),
        (lambda data: (4000).to_bytes(8, "little") + b"[" * 4000, "header"),
        (lambda data: data.replace(b"inspection.weights/1", b"inspection.weights/9"), "schema inspection.weights/1"),
        (lambda data: data.replace(b'\\"contexts\\":10', b'\\"contexts\\":1x'), "WeightsManifest"),
        (lambda data: save({"a": torch.zeros(2)}), "'manifest' in the metadata"),
    ],
    ids=[
        "flipped bit", "truncated", "stub", "empty", "a picture", "a pickle", "huge header", "header over our limit",
        "deep header", "schema", "manifest", "somebody else's",
    ],
)  # fmt: skip
def test_damage_is_found_and_named(tmp_path: Path, tiny: Made, damage: Callable[[bytes], bytes], says: str) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, *tiny)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInputError, match=says) as caught:
        verify_weights(path)
    assert str(path) in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_refused(tiny: Made, data: st.DataObject) -> None:
    weights, manifest = tiny
    tensors = {n: t.contiguous() for n, t in weights.state_dict().items()}
    whole = bytearray(save(tensors, {"manifest": to_json(manifest).decode()}))
    # The header in half of the cases: it is a small part of the file.
    end = data.draw(st.sampled_from([2000, len(whole)]))
    whole[data.draw(st.integers(0, end - 1))] ^= data.draw(st.integers(1, 255))
    try:
        loaded, read = parse_weights(bytes(whole), "the file", TINY)
    except BadInputError:
        return
    # A change to JSON's blanks or key order changes nothing that is read.
    assert read == manifest
    assert all(torch.equal(loaded.state_dict()[n], t) for n, t in tensors.items())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(tmp_path: Path, tiny: Made, value: float) -> None:
    tensors = dict(tiny[0].state_dict())
    tensors["abnormal_context"] = tensors["abnormal_context"].clone()
    tensors["abnormal_context"][3, 2, 1] = value
    with pytest.raises(BadInputError, match="finite numbers in abnormal_context"):
        verify_weights(_file(tmp_path / "w", tensors, tiny[1]))


def test_tensors_must_be_those_of_the_model(tmp_path: Path, tiny: Made) -> None:
    whole, manifest = dict(tiny[0].state_dict()), tiny[1]
    missing = {n: t for n, t in whole.items() if n != "adapters.3.bias"}
    with pytest.raises(BadInputError, match=r"missing \['adapters.3.bias'\]"):
        verify_weights(_file(tmp_path / "missing", missing, manifest))
    with pytest.raises(BadInputError, match=r"unknown \['extra'\]"):
        verify_weights(_file(tmp_path / "extra", whole | {"extra": torch.zeros(1)}, manifest))
    wrong_shape = whole | {"visual_tokens": torch.zeros(4, 4, 31)}
    with pytest.raises(BadInputError, match=r"visual_tokens as torch.float32 \[4, 4, 32\], got .*\[4, 4, 31\]"):
        verify_weights(_file(tmp_path / "shape", wrong_shape, manifest))
    wrong_dtype = whole | {"visual_tokens": whole["visual_tokens"].double()}
    with pytest.raises(BadInputError, match=r"got torch.float64"):
        verify_weights(_file(tmp_path / "dtype", wrong_dtype, manifest))


def test_a_manifest_that_lies_is_refused_before_memory_is_taken(tmp_path: Path, tiny: Made) -> None:
    tensors, manifest = dict(tiny[0].state_dict()), tiny[1]
    with pytest.raises(BadInputError, match=r"normal_context as torch\.float32"):
        verify_weights(_file(tmp_path / "contexts", tensors, replace(manifest, contexts=9)))
    with pytest.raises(BadInputError, match="1 to 1000"):
        verify_weights(_file(tmp_path / "huge", tensors, replace(manifest, contexts=1 << 60)))
    with pytest.raises(BadInputError, match=r"taps \[1, 2, 3, 4\]"):
        verify_weights(_file(tmp_path / "taps", tensors, replace(manifest, taps=(1, 2, 3))))
    with pytest.raises(BadInputError, match="no-such-model"):
        verify_weights(_file(tmp_path / "model", tensors, replace(manifest, model="no-such-model")))


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec("inspector-s"),
        replace(TINY, pretrained="openai"),
        replace(TINY, image_size_px=64),
        replace(TINY, seed=7),
    ],
    ids=["name", "pretrained", "image size", "seed of the frozen weights"],
)
def test_weights_for_another_model_are_refused(tmp_path: Path, tiny: Made, spec: ModelSpec) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, *tiny)
    with pytest.raises(BadInputError, match=r"expected weights made for .* got dapo-tiny / random at 32 px"):
        load_weights(path, spec)


def test_the_version_says_beside_which_frozen_weights_they_were_made(tmp_path: Path) -> None:
    assert (
        init_prompt_weights(TINY, PLATE, 1)[1].version
        != init_prompt_weights(replace(TINY, seed=7), PLATE, 1)[1].version
    )
    one, other, folder = tmp_path / "one.pt", tmp_path / "other.pt", tmp_path / "folder"
    one.write_bytes(b"frozen")
    other.write_bytes(b"Frozen")
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"frozen")
    specs = [replace(TINY, pretrained=str(path)) for path in (one, other)]
    specs += [replace(TINY, pretrained="openai"), ModelSpec(f"local-dir:{folder}", "own")]
    before = [backbone_id(spec) for spec in specs]
    assert len(set(before[:3])) == 3
    one.rename(tmp_path / "moved.pt")
    (folder / "model.safetensors").write_bytes(b"thawed")
    assert backbone_id(replace(TINY, pretrained=str(tmp_path / "moved.pt"))) == before[0]
    assert backbone_id(specs[3]) != before[3]


def test_paths_that_hold_no_file_are_refused(tmp_path: Path, tiny: Made) -> None:
    with pytest.raises(BadInputError, match="absent, which does not exist: check the path"):
        load_weights(tmp_path / "absent")
    with pytest.raises(BadInputError, match="directory"):
        load_weights(tmp_path)
    with pytest.raises(BadInputError, match="No such file"):
        save_weights(tmp_path / "absent" / "w", *tiny)


def test_the_manifest_can_be_read_by_anyones_safetensors(tmp_path: Path, tiny: Made) -> None:
    path = tmp_path / "weights.safetensors"
    sealed = save_weights(path, *tiny)
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert json.loads(header["__metadata__"]["manifest"])["version"] == sealed.version
