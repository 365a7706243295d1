"""What a run of ``inspector score`` came to: counts, the truth beside them, and what to do when nothing was found."""

from __future__ import annotations

from dataclasses import dataclass, field

from inspector.apps.score_truth import TruthMeter
from inspector.domain.result import PredLabel
from inspector.pipeline.engine_ports import Verdict

# Of so many images whose truth nobody knows, one at least may be expected to be odd.
_MANY_IMAGES = 20


@dataclass
class Tally:
    """Counts over the images; ``highest`` and ``threshold`` are of calibrated scores, 0..1."""

    images: int = 0
    anomalous: int = 0
    failed: list[str] = field(default_factory=list)
    highest: float = 0.0
    threshold: float = 0.0

    def add(self, verdict: Verdict) -> None:
        """Count one image."""
        self.images += 1
        self.anomalous += verdict.pred_label is PredLabel.ANOMALOUS
        self.highest = max(self.highest, verdict.anomaly_score)
        self.threshold = verdict.image_threshold


def summary(tally: Tally, truth: TruthMeter) -> dict[str, object]:
    """Return the counts, and ``truth`` where some images have one."""
    made: dict[str, object] = {
        "images": tally.images,
        "anomalous": tally.anomalous,
        "failed": len(tally.failed),
    }
    if truth.images:
        image, pixel = truth.result()
        alarms = truth.alarms()
        made["truth"] = {
            "images": truth.images,
            "without_mask": truth.without_mask,
            "found": alarms.found,
            "defective": alarms.defective,
            "false_alarms": alarms.false_alarms,
            "good": alarms.good,
            "image_auroc": image.value,
            "pixel_auroc": pixel.value,
            "pixel_auroc_error_bound": pixel.error_bound,
            "notes": [metric.reason for metric in (image, pixel) if metric.reason is not None],
        }
    return made


def advice(tally: Tally, truth: TruthMeter, reference_images: int) -> str | None:
    """Return what to do about a run that found nothing although there should be something; None about any other.

    ``reference_images``: how many normal images the others were compared with, 0 without a reference.
    """
    unknown = tally.images - truth.images
    missed = truth.alarms().defective or (reference_images and unknown >= _MANY_IMAGES)
    if tally.anomalous or not missed:
        return None
    normals = f"more normal images ({reference_images} now)" if reference_images else "normal images (--reference)"
    # Without a reference it hangs on the weights whether the order means anything.
    ranked = ", and the scores still rank the images" if reference_images else ""
    return (
        f"no image reaches the threshold, {tally.threshold:.3g}; the highest score is {tally.highest:.3f}{ranked}. "
        f"Give {normals}, or a lower threshold: --image-threshold here, "
        "cameras.ID.image_threshold of a camera"
    )
