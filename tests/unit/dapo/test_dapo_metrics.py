"""On real photographs the serving path and the plain reference give the same metrics, not only nearly the same maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dapo_models import lively_weights
from local_services import PHOTOGRAPHS
from numpy.typing import NDArray
from reference.dapo_reference import encode_text, score_image

from inspector.apps.score_inputs import CAMERA_ID, InputFile, decode_file
from inspector.dapo.clip import build_clip
from inspector.dapo.prompt_weights import seal
from inspector.dapo.spec import ModelSpec
from inspector.datasets.opening import open_dataset
from inspector.datasets.reading import read_mask, read_type_mask
from inspector.datasets.sample import Dataset, Sample
from inspector.domain.product import CameraMode, CameraSettings, DefectSpec, ProductSettings
from inspector.domain.weights import WeightsManifest
from inspector.evaluation.class_meter import ClassMeter
from inspector.evaluation.metrics import Metric
from inspector.vision.engine import InspectionEngine
from inspector.vision.preprocess import preprocess

TOLERANCE = 1e-4
SPEC = ModelSpec("inspector-s")

pytestmark = pytest.mark.shared


def _every(step: int, dataset: Dataset) -> list[Sample]:
    samples = [sample for sample in dataset.samples if sample.split == "test"]
    return [sample for i, sample in enumerate(samples) if i % step == 0]


# The reference takes 0.3 s an image: by default a part of each set that holds good images and every type of defect.
@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("cookie", 2),
        ("ball_screw", 6),
        ("printed_board", 11),
        *(pytest.param(n, 1, marks=pytest.mark.long) for n in ("cookie", "ball_screw", "printed_board")),
    ],
)
def test_serving_and_reference_give_the_same_metrics(name: str, step: int) -> None:
    dataset = open_dataset(PHOTOGRAPHS / name)
    types = dataset.vocabulary()
    # Far from their initial values: scores that are all alike would rank by rounding alone.
    weights = lively_weights(SPEC, contexts=2)
    manifest = seal(weights, _manifest(types))
    product = ProductSettings(defects=tuple(DefectSpec(word) for word in types))
    # Left to itself the engine would compare later frames with the first sixteen.
    cameras = {CAMERA_ID: CameraSettings(mode=CameraMode.ZERO_SHOT)}
    engine = InspectionEngine(SPEC, weights, manifest, {"default": product}, cameras)
    clip = build_clip(SPEC)
    size = (engine.image_size_px, engine.image_size_px)
    served, plain = ClassMeter(types), ClassMeter(types)
    with torch.no_grad():
        text = encode_text(clip, weights, types, product.object_word)
        for sample in _every(step, dataset):
            frame = decode_file(engine, InputFile(sample.image, sample.image))
            [(_, raw)] = engine.inspect_with_raw([frame])
            image = preprocess([frame.pixels.square], clip.visual.image_mean, clip.visual.image_std)[0]
            reference = score_image(clip, weights, text, image)
            for meter, score, anomaly_map, type_scores in (
                (served, raw.image_score, raw.anomaly_map, raw.type_grid),
                (plain, reference.image_score, _array(reference.anomaly_map), _array(reference.type_map[1:])),
            ):
                meter.add(
                    score,
                    anomaly_map,
                    read_mask(sample, size),
                    type_scores=type_scores,
                    type_mask=read_type_mask(sample, size, types),
                    anomalous=sample.anomalous,
                    image_types=sample.defect_types,
                )
    ours, theirs = served.result().values, plain.result().values
    assert ours.keys() == theirs.keys()
    compared = [key for key in ours if _differ(key, ours[key], theirs[key])]
    assert {"image_auroc", "image_ap", "pixel_auroc", "pixel_ap", "aupro", "type_auroc"} <= set(compared)


def _differ(key: str, ours: Metric, theirs: Metric) -> bool:
    """Compare one metric; False where there is none, for the same reason on both sides."""
    assert ours.reason == theirs.reason, key
    if ours.value is None or theirs.value is None:
        assert ours.value is theirs.value, key
        return False
    assert ours.value == pytest.approx(theirs.value, abs=TOLERANCE), key
    return True


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.numpy()


def _manifest(types: tuple[str, ...]) -> WeightsManifest:
    return WeightsManifest(
        model=SPEC.name,
        pretrained=SPEC.pretrained,
        backbone="random, seed 0",
        image_size_px=256,
        contexts=2,
        context_tokens=5,
        text_layer_tokens=4,
        visual_layer_tokens=3,
        taps=(3, 6, 9, 12),
        vocabulary=types,
    )
