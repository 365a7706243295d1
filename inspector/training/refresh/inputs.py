"""What one run of the trainer learns from and is judged by, fixed when it begins."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from inspector.domain.defect import Box
from inspector.domain.product import Vocabulary
from inspector.domain.records import to_json
from inspector.pipeline.gate_evidence import PersonVerdict
from inspector.training.options import TrainingOptions
from inspector.training.refresh.split import held_out

INPUTS_SCHEMA = "inspection.trainer-inputs/1"


@dataclass(frozen=True, slots=True)
class KnownFrame:
    """A frame whose truth is known, and where its image lies: in the run's folder, under ``image_sha256``.

    ``persons`` said what it shows, and agree; without any it was judged normal by the service, and nobody objected.
    ``in_doubt``: the weights that judged it so are known to have missed defects by then (see ``gathering``).
    ``corrected``: one of them said that the service was wrong. ``defect_type`` None on an anomalous frame: nobody named
    it. ``boxes`` are pixels of the frame as captured; ``mask_sha256`` names the PNG of that size beside the image.
    """

    frame_id: str
    camera_id: str
    product: str
    captured_at: datetime
    content_type: str
    image_sha256: str
    anomalous: bool = False
    defect_type: str | None = None
    boxes: tuple[Box, ...] = ()
    mask_sha256: str | None = None
    corrected: bool = False
    persons: tuple[str, ...] = ()
    in_doubt: bool = False

    @property
    def held_out(self) -> bool:
        """Whether it judges and never teaches."""
        return held_out(self.image_sha256, spoken_of=bool(self.persons))


@dataclass(frozen=True, slots=True)
class Recipe:
    """How examples are made and weights tuned; see the settings ``trainer``. Counts are of examples or frames.

    ``core_dataset`` is the path of a labelled data set, an empty text where there is none.
    """

    options: TrainingOptions
    correction_repeats: int
    synthetic_per_camera: int
    core_scenes: int
    core_dataset: str = ""


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that decides the candidate, beside the model and the core data set.

    ``vocabularies`` by product: the configured types, then those that people named and nobody has configured yet, which
    ``offered_types`` lists. ``feedback_ids`` are those that were taken in; ``conflicts`` counts the frames on which
    people differ, which are left out, as are those that hang on a person of ``set_aside``, whom the gate has named
    before. ``verdicts``: what people said of all these. ``left_out``: other frames, each with the reason.
    """

    parent_version: str
    frames: tuple[KnownFrame, ...]
    vocabularies: Mapping[str, Vocabulary]
    offered_types: Mapping[str, tuple[str, ...]]
    recipe: Recipe
    feedback_ids: tuple[str, ...] = ()
    conflicts: int = 0
    set_aside: tuple[str, ...] = ()
    verdicts: tuple[PersonVerdict, ...] = ()
    left_out: tuple[str, ...] = ()
    schema: str = INPUTS_SCHEMA

    @property
    def run_id(self) -> str:
        """The same for the same inputs: 16 hexadecimal digits."""
        return hashlib.sha256(to_json(self)).hexdigest()[:16]

    @property
    def teaching(self) -> tuple[KnownFrame, ...]:
        """The frames that may be trained on."""
        return tuple(frame for frame in self.frames if not frame.held_out)

    @property
    def judging(self) -> tuple[KnownFrame, ...]:
        """The frames that are held out."""
        return tuple(frame for frame in self.frames if frame.held_out)

    @property
    def corrected(self) -> tuple[KnownFrame, ...]:
        """The frames on which the service was wrong, whichever side they are on."""
        return tuple(frame for frame in self.frames if frame.corrected)

    def vocabulary(self, product: str) -> Vocabulary:
        """Return the words for frames of ``product``; a product without settings is inspected as ``default``."""
        return self.vocabularies.get(product) or self.vocabularies["default"]
