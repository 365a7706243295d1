"""Ground truth of images in an MVTec AD layout: ``test/TYPE/STEM.png``, ``ground_truth/TYPE/STEM_mask.png``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GOOD = "good"


@dataclass(frozen=True, slots=True)
class ImageTruth:
    """What is known of one image. ``mask`` is None for a good one (empty) and for a defect nobody drew."""

    image: Path
    defect_type: str
    mask: Path | None

    @property
    def anomalous(self) -> bool:
        """Whether the image shows a defect."""
        return self.defect_type != GOOD

    @property
    def has_pixel_truth(self) -> bool:
        """Whether every pixel's class is known: good images are normal all over."""
        return self.mask is not None or not self.anomalous


def truth_of(image: Path) -> ImageTruth | None:
    """Return the truth of ``image`` by where it stands, or None where that is not ``.../{train,test}/TYPE/FILE``.

    Masks are looked for beside the split: ``ground_truth/TYPE/STEM_mask.png``, or ``STEM.png`` as some sets have it.
    """
    # Not resolved: in a folder of links, the link's place says what the image is.
    folder = image.absolute().parent
    if folder.parent.name not in {"train", "test"}:
        return None
    if folder.name == GOOD:
        return ImageTruth(image, GOOD, None)
    drawn = folder.parent.parent / "ground_truth" / folder.name
    candidates = (drawn / f"{image.stem}_mask.png", drawn / f"{image.stem}.png")
    return ImageTruth(image, folder.name, next((mask for mask in candidates if mask.is_file()), None))
