"""All metrics of one class of a dataset, image by image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inspector.evaluation.aupimo import AupimoMeter
from inspector.evaluation.confusion import ConfusionMeter, NameRegions
from inspector.evaluation.curves import Points
from inspector.evaluation.metrics import Metric, mean
from inspector.evaluation.pixel_scores import EXACT_PIXELS, PixelScores
from inspector.evaluation.ranking import rank_images
from inspector.evaluation.type_metrics import UNKNOWN_TYPE, TypeMeter, upsampled

_TYPE_METRICS = ("type_auroc", "type_ap", "type_macro_f1", "type_macro_f1_background", "type_regions", "type_recall")


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """What was measured of one class.

    ``values`` by name: ``image_`` and ``pixel_`` with ``auroc``, ``ap``, ``f1_max``; ``aupro``, ``aupro_legacy``,
    ``aupimo``; ``type_auroc``, ``type_ap``, ``type_macro_f1``, ``type_macro_f1_background``; ``type_regions`` and
    ``type_recall``, how often a drawn region's type is right, see ``ConfusionMeter.types_right``. ``thresholds``:
    ``image_f1_max`` and ``pixel_f1_max``, raw scores; at or above counts as defective. ``method``: how pixels were
    ranked, ``exact`` or ``binned, N bins``; values that are not exact carry a bound. ``curves``: ``image_roc``,
    ``image_pr``, ``pixel_roc``, ``pixel_pr`` and ``pixel_pro`` (up to an FPR of 0.3), those that exist. ``types``: each
    type's own ``auroc``, ``ap`` and ``f1``. ``confusion`` int64 [1 + K, 1 + K] at the pixel threshold, see
    ``confusion.py``, or None.

    ``images`` were added, ``anomalous_images`` of them anomalous; ``without_mask`` have no part in pixel metrics.
    """

    name: str
    values: Mapping[str, Metric]
    thresholds: Mapping[str, float | None]
    method: str
    curves: Mapping[str, Points] = field(repr=False)
    types: Mapping[str, Mapping[str, Metric]]
    confusion: NDArray[np.int64] | None
    images: int
    anomalous_images: int
    without_mask: int
    regions: int


class ClassMeter:
    """Collects the images of one class. Memory is bounded by ``exact_pixels``, see ``PixelScores``.

    Type metrics take another quarter of that at most, and so does AUPIMO.
    """

    def __init__(self, types: Sequence[str], exact_pixels: int = EXACT_PIXELS, name: str = "") -> None:
        if len(set(types)) != len(types) or len(types) >= UNKNOWN_TYPE:
            raise ValueError(f"expected fewer than {UNKNOWN_TYPE} different types, got {len(types)}")
        self._name = name
        self._types = tuple(types)
        self._scores: list[float] = []
        self._anomalous: list[bool] = []
        self._pixels = PixelScores(exact_pixels)
        self._aupimo = AupimoMeter(exact_pixels // 4)
        self._type_meter = TypeMeter(types, exact_pixels // 4)
        self._confusion = ConfusionMeter(len(types))
        self._typed = False
        self._without_mask = 0

    def add(
        self,
        image_score: float,
        anomaly_map: NDArray[np.float32],
        mask: NDArray[np.uint8] | None,
        *,
        type_scores: NDArray[np.float32] | None = None,
        type_mask: NDArray[np.uint8] | None = None,
        anomalous: bool,
        image_types: Sequence[str] = (),
        name_regions: NameRegions | None = None,
    ) -> None:
        """Add one image; scores of any finite range, higher is more anomalous.

        Args:
            image_score: of the image as a whole.
            anomaly_map: float32 [H, W].
            mask: [H, W], nonzero where defective. None for a good image, which is normal all over, and for a defect
                that nobody drew: that image has no part in pixel metrics then.
            type_scores: float32 [K, h, w] at any resolution, in the order of the types: probabilities of a softmax over
                normal and the types, so that normal has what is left of 1.
            type_mask: uint8 [H, W]: 0 normal, k (from 1) the k-th type, 255 defective of unknown type. If None, the
                mask is of the one type in ``image_types``, or of unknown type if they are several.
            anomalous: whether the image shows a defect.
            image_types: names of the types that it shows.
            name_regions: as for ``ConfusionMeter.add``.

        Raises:
            ValueError: shapes do not fit, a score is NaN or infinite, or a good image has a mask that is not empty. The
                image is then not added.
        """
        truth = self._pixel_truth(anomaly_map, mask, anomalous)
        typed = None
        if type_scores is not None and truth is not None and self._types:
            type_truth = self._type_truth(truth, type_mask, image_types)
            self._check(type_scores, type_truth, anomaly_map.shape)
            typed = type_scores, type_truth
        if not math.isfinite(image_score):
            raise ValueError(f"expected a finite image score, got {image_score}")
        if truth is None:
            self._without_mask += 1
        else:
            self._pixels.add(anomaly_map, truth)
            self._aupimo.add(anomaly_map, truth, anomalous)
        if typed is not None:
            self._add_types(anomaly_map, *typed, anomalous, name_regions)
        self._scores.append(float(image_score))
        self._anomalous.append(anomalous)

    def result(self) -> ClassMetrics:
        """Return the metrics of all images so far; more may be added afterwards."""
        image, pixel = rank_images(self._scores, self._anomalous), self._pixels.ranking()
        macro, types = self._type_result()
        values = {
            "image_auroc": image.auroc,
            "image_ap": image.ap,
            "image_f1_max": image.f1_max,
            "pixel_auroc": pixel.auroc,
            "pixel_ap": pixel.ap,
            "pixel_f1_max": pixel.f1_max,
            "aupro": pixel.aupro,
            "aupro_legacy": self._pixels.legacy_aupro(),
            "aupimo": self._aupimo.result(),
            **macro,
        }
        curves = {
            "image_roc": image.roc,
            "image_pr": image.pr,
            "pixel_roc": pixel.roc,
            "pixel_pr": pixel.pr,
            "pixel_pro": pixel.pro,
        }
        return ClassMetrics(
            name=self._name,
            values=values,
            thresholds={"image_f1_max": image.threshold, "pixel_f1_max": pixel.threshold},
            method=self._method(),
            curves={name: points for name, points in curves.items() if points},
            types=types,
            confusion=self._confusion.result(pixel.threshold),
            images=len(self._scores),
            anomalous_images=sum(self._anomalous),
            without_mask=self._without_mask,
            regions=self._pixels.regions,
        )

    def _pixel_truth(
        self, anomaly_map: NDArray[np.float32], mask: NDArray[np.uint8] | None, anomalous: bool
    ) -> NDArray[np.uint8] | None:
        if anomaly_map.ndim != 2:
            raise ValueError(f"expected a map [H, W], got {anomaly_map.shape}")
        if mask is None:
            return None if anomalous else np.zeros(anomaly_map.shape, np.uint8)
        if mask.any() and not anomalous:
            raise ValueError("expected no defective pixel in a good image's mask, got some")
        return mask

    def _type_truth(
        self, mask: NDArray[np.uint8], type_mask: NDArray[np.uint8] | None, image_types: Sequence[str]
    ) -> NDArray[np.uint8]:
        if type_mask is not None:
            return type_mask
        known = len(image_types) == 1 and image_types[0] in self._types
        number = 1 + self._types.index(image_types[0]) if known else UNKNOWN_TYPE
        return np.where(mask != 0, np.uint8(number), np.uint8(0))

    def _check(self, type_scores: NDArray[np.float32], type_mask: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
        if type_scores.ndim != 3 or type_scores.shape[0] != len(self._types):
            raise ValueError(f"expected type scores [{len(self._types)}, h, w], got {type_scores.shape}")
        if not np.isfinite(type_scores).all():
            raise ValueError("expected finite type scores, got NaN or infinity")
        if type_mask.shape != shape:
            raise ValueError(f"expected a map and masks of one shape, got {shape} and {type_mask.shape}")
        if (beyond := (type_mask > len(self._types)) & (type_mask != UNKNOWN_TYPE)).any():
            raise ValueError(f"expected types up to {len(self._types)} in the mask, got {type_mask[beyond].max()}")

    def _add_types(
        self,
        anomaly_map: NDArray[np.float32],
        type_scores: NDArray[np.float32],
        type_mask: NDArray[np.uint8],
        anomalous: bool,
        name_regions: NameRegions | None,
    ) -> None:
        scores = upsampled(type_scores, *type_mask.shape)
        self._type_meter.add(scores, type_mask)
        self._confusion.add(anomaly_map, scores, type_mask, anomalous, name_regions)
        self._typed = True

    def _type_result(self) -> tuple[dict[str, Metric], Mapping[str, Mapping[str, Metric]]]:
        if not self._typed:
            reason = "no defect types" if not self._types else "no types were scored where a mask is known"
            return dict.fromkeys(_TYPE_METRICS, Metric(None, reason)), {}
        macro, types = self._type_meter.result()
        regions, recall = self._confusion.types_right()
        return macro | {"type_regions": regions, "type_recall": recall}, types

    def _method(self) -> str:
        pixels, types = self._pixels.method, self._type_meter.method
        return pixels if types in (pixels, "exact") else f"{pixels}; types {types}"


def mean_of(classes: Sequence[ClassMetrics]) -> dict[str, Metric]:
    """Mean over classes of each metric, each class counted alike, never its pixels pooled with others'.

    A class that does not have a metric has no part in its mean; the reason names it.

    Raises:
        ValueError: two classes have one name.
    """
    named = {metrics.name or f"class {i}": metrics.values for i, metrics in enumerate(classes, start=1)}
    if len(named) != len(classes):
        raise ValueError("expected classes of different names, got one twice")
    names = dict.fromkeys(metric for values in named.values() for metric in values)
    return {
        metric: mean({name: values[metric] for name, values in named.items() if metric in values}) for metric in names
    }
