"""The engine that serves: decode, score and judge, with banks and settings that change between two batches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.spec import ModelSpec
from inspector.domain.artefact import Calibration
from inspector.domain.errors import BadInputError
from inspector.domain.frame import Frame, FrameMeta
from inspector.domain.product import CameraSettings, ProductSettings, Vocabulary
from inspector.domain.release import GoldenScores
from inspector.domain.result import ScoreMode
from inspector.domain.scoring import ScoringSettings
from inspector.domain.weights import WeightsManifest
from inspector.pipeline.calibration import DEFAULT_FALSE_ALARM_RATE
from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.vision import enrolment
from inspector.vision.camera_book import CameraBook
from inspector.vision.closer_look import Inside
from inspector.vision.decode import DecodeLimits, decode
from inspector.vision.frame_pixels import FramePixels
from inspector.vision.golden_batch import check_as_expected, check_scores, golden_batch
from inspector.vision.judge import RawScores, judge, name_regions
from inspector.vision.plan import Plan
from inspector.vision.raw_scorer import DEFAULT_MAX_TILES, RawScorer
from inspector.vision.region_embeddings import MadeWith
from inspector.vision.region_types import RegionTypes


class InspectionEngine:
    """Implements ``pipeline.engine_ports.Engine``.

    ``decode``, ``decoded_bytes`` and ``find_camera`` are thread-safe, the rest is one thread's.

    Builds both towers of ``spec`` (the text tower only until the vocabularies of ``products`` are encoded).
    """

    def __init__(
        self,
        spec: ModelSpec,
        weights: PromptWeights,
        manifest: WeightsManifest,
        products: Mapping[str, ProductSettings],
        cameras: Mapping[str, CameraSettings],
        allow_unknown: bool = True,
        limits: DecodeLimits | None = None,
        scoring: ScoringSettings | None = None,
        false_alarm_rate: float = DEFAULT_FALSE_ALARM_RATE,
        max_tiles: int = DEFAULT_MAX_TILES,
        texts: Mapping[Vocabulary, Tensor] | None = None,
        region_types: RegionTypes | None = None,
    ) -> None:
        """``false_alarm_rate``: what mutual scoring aims at on cameras without a calibration.

        ``max_tiles``: how many tiles of larger frames go through the tower at once, whatever the batch. ``texts``: T of
        vocabularies, made with these weights; where all words are among them no text tower is built. ``region_types``
        says which type a region shows; None: the type map does.
        """
        self._manifest = manifest
        self._limits = limits or DecodeLimits()
        known_products = {"default": ProductSettings(), **products}
        vocabularies = [product.vocabulary for product in known_products.values()]
        chosen = scoring or ScoringSettings()
        if not manifest.trained:
            # What an untrained text side says of a frame is noise, and would only dilute what its reference says.
            chosen = replace(chosen, bank_fusion="none", mutual_fusion="none")
        self._scorer = RawScorer(
            spec,
            weights,
            manifest.text_mode,
            vocabularies,
            chosen,
            false_alarm_rate,
            max_tiles,
            texts,
            manifest.tuned_words,
        )
        self._region_types = region_types
        self._learn_types(vocabularies)
        self._book = CameraBook(
            manifest,
            known_products,
            cameras,
            allow_unknown,
            self._scorer.level_widths(),
            self._scorer.tile,
            self._scorer.scoring,
        )

    @property
    def weights_version(self) -> str:
        """Version of the weights in use."""
        return self._manifest.version

    @property
    def model_name(self) -> str:
        """Name of the model, as in ``model.name``."""
        return self._manifest.model

    @property
    def image_size_px(self) -> int:
        """Side of the square the tower takes, and of the decoded pixels of a product of one tile."""
        return self._scorer.image_size_px

    def texts(self) -> Mapping[Vocabulary, Tensor]:
        """Return T of every vocabulary in use."""
        return self._scorer.texts()

    def find_camera(self, camera_id: str) -> CameraSettings | None:
        """See ``pipeline.engine_ports.Engine``."""
        return self._book.find_camera(camera_id)

    def decoded_bytes(self, frame: Frame) -> int:
        """See ``pipeline.engine_ports.Engine``."""
        return 3 * (self._side_px(frame.meta) ** 2 + (self._fine_px(frame.meta) or 0) ** 2)

    def decode(self, frame: Frame) -> DecodedFrame:
        """Decode one frame to ``FramePixels`` for its tiles. Thread-safe. Raises as ``vision.decode.decode``."""
        started = time.perf_counter()
        sides = self._side_px(frame.meta), self._fine_px(frame.meta)
        decoded = decode(frame.image, frame.meta.content_type, self._limits, *sides)
        elapsed_ms = (time.perf_counter() - started) * 1e3
        pixels = FramePixels(decoded.pixels, decoded.fine)
        return DecodedFrame(frame, pixels, decoded.width_px, decoded.height_px, elapsed_ms)

    def inspect(self, frames: Sequence[DecodedFrame]) -> Sequence[Verdict]:
        """Score and judge one batch; ``timings_ms`` of shared stages are divided by the frames that share them."""
        for frame in frames:
            self._book.remark_on_threshold(self._plan(frame))
        verdicts = {i: verdict for i, verdict, _ in self._judged(frames)}
        return [verdicts[i] for i in range(len(frames))]

    def inspect_with_raw(self, frames: Sequence[DecodedFrame]) -> list[tuple[Verdict, RawScores]]:
        """Do as ``inspect``, with each raw score beside its verdict: a metric needs an order that does not saturate."""
        judged = {i: (verdict, replace(raw, patches=None)) for i, verdict, raw in self._judged(frames)}
        return [judged[i] for i in range(len(frames))]

    def _judged(self, frames: Sequence[DecodedFrame]) -> Iterator[tuple[int, Verdict, RawScores]]:
        """Score and judge what is scored together, then the next: patches and maps of tiled frames are large."""
        frames = [self._at_its_size(frame) for frame in frames]
        made_with = MadeWith(self.model_name, self.weights_version, self._manifest.trained)
        for group in self._scorer.together([frame.pixels for frame in frames]):
            plans = [self._plan(frames[i]) for i in group]
            raw, shared_ms = self._scorer.score([frames[i].pixels for i in group], plans, embed=True)
            for i, plan in zip(group, plans, strict=True):
                scores = raw.pop(0)
                timings_ms = {"decode": frames[i].decode_ms, **shared_ms}
                yield i, judge(frames[i], scores, plan, timings_ms, made_with, self._region_types), scores

    def is_sound(self) -> bool:
        """See ``pipeline.engine_ports.Engine``: the frame is plain grey, of a camera nobody has."""
        side = self.image_size_px
        try:
            grey = FramePixels(np.full((side, side, 3), 128, np.uint8))
            self._scorer.score([grey], [self._book.calibration_plan("", "default")])
        except Exception:
            return False
        return True

    def check_golden_batch(self, expected: GoldenScores | None = None) -> GoldenScores:
        """Try the weights on pictures known beforehand, and return what they score.

        ``expected``: what they scored where they were published, for the words it names.

        Raises:
            BadInputError: they give scores that are none, or others than are expected.
        """
        pixels = [FramePixels(picture) for picture in golden_batch(self.image_size_px)]
        plan = self._book.calibration_plan("", "default")
        check_scores(self._scorer.score(pixels, [plan] * len(pixels))[0], self.weights_version)
        vocabulary = plan.product.vocabulary if expected is None else expected.vocabulary
        found = self._scorer.golden(pixels, vocabulary)
        if expected is not None:
            check_as_expected(found, expected, self.weights_version)
        return found

    def score_raw(self, frames: Sequence[DecodedFrame]) -> list[RawScores]:
        """Score one batch without judging it; a frame of the camera's own bank is left out of the bank."""
        frames = [self._at_its_size(frame) for frame in frames]
        return self._scorer.score([frame.pixels for frame in frames], [self._plan(frame) for frame in frames])[0]

    def score_mutually(self, frames: Sequence[DecodedFrame], finer: bool | None = None) -> list[RawScores]:
        """Score a whole set of unlabelled frames of one size, each against all others, whatever their cameras' modes.

        Its cost grows with the square of the frames. ``finer``: as for ``RawScorer.score_set``. Raises BadInputError
        below ``mutual_min_frames``.
        """
        frames = [self._at_its_size(frame) for frame in frames]
        plans = [self._mutual_plan(frame) for frame in frames]
        return self._scorer.score_set([frame.pixels for frame in frames], plans, finer=finer)

    def inspect_mutually(self, frames: Sequence[DecodedFrame]) -> list[tuple[Verdict, RawScores]]:
        """Do as ``score_mutually`` and judge, by a threshold fitted on the set itself; as ``inspect_with_raw``."""
        started = time.perf_counter()
        raw = self.score_mutually(frames)
        made_with = MadeWith(self.model_name, self.weights_version, self._manifest.trained)
        score_ms = (time.perf_counter() - started) * 1e3 / max(1, len(frames))
        judged = []
        for frame, each in zip(frames, raw, strict=True):
            timings_ms = {"decode": frame.decode_ms, "score": score_ms}
            verdict = judge(frame, each, self._mutual_plan(frame), timings_ms, made_with, self._region_types)
            judged.append((verdict, each))
        return judged

    @property
    def names_regions(self) -> bool:
        """Whether regions are named by closer looks, and not by the type map alone."""
        return self._region_types is not None

    def name_regions(self, frame: DecodedFrame, regions: Sequence[Inside]) -> NDArray[np.float32]:
        """Return how likely each type of the frame's product is in regions that are given, float32 [K, R].

        Regions as for ``RegionTypes.name``. Raises ValueError for an engine that does not name regions.
        """
        if self._region_types is None:
            raise ValueError("expected an engine that names regions, got one without region types")
        plan = self._plan(frame)
        return name_regions(self._region_types, frame, plan, regions)

    def _learn_types(self, vocabularies: Sequence[Vocabulary]) -> None:
        if self._region_types is not None:
            self._region_types.learn_words(vocabularies)

    def enroll(
        self,
        pixels: Sequence[FramePixels],
        false_alarm_rate: float = DEFAULT_FALSE_ALARM_RATE,
        product_name: str = "default",
    ) -> bytes:
        """Return a bank file from decoded normal frames of a product. Raises as ``enrolment.enrol``."""
        product = self._book.product(product_name)
        return enrolment.enrol(self._scorer, self._manifest, pixels, false_alarm_rate, product)

    def use_reference(self, camera_id: str, pixels: Sequence[FramePixels]) -> None:
        """Score a camera against one or more normal frames, without thresholds of its own.

        For evaluation, by raw scores: what a camera is served with is ``enroll`` and ``set_bank``. A frame of several
        that is scored itself is left out of the reference. Raises BadInputError without a frame.
        """
        camera = self._book.find_camera(camera_id) or CameraSettings()
        product = self._book.product(camera.product)
        self._book.use_bank(camera_id, enrolment.reference(self._scorer, self._manifest, pixels, product))

    def calibrate(
        self,
        camera_id: str,
        frames: Sequence[DecodedFrame],
        created_at: datetime,
        false_alarm_rate: float = DEFAULT_FALSE_ALARM_RATE,
        batch: int = 16,
    ) -> Calibration:
        """Return a calibration for the camera's present mode and bank, from normal frames of that camera.

        Mode ``auto`` without a bank is calibrated zero-shot, and goes on so.

        Raises:
            BadInputError: fewer than 8 frames, or a frame of another camera.
        """
        others = {frame.frame.meta.camera_id for frame in frames} - {camera_id}
        if others:
            raise BadInputError(f"frames of camera {camera_id}", f"frames of {sorted(others)}", "give its own frames")
        settings = self._book.find_camera(camera_id) or CameraSettings()
        plan = self._book.calibration_plan(camera_id, frames[0].frame.meta.product if frames else settings.product)
        raw: list[RawScores] = []
        if plan.mode is ScoreMode.MUTUAL:
            # As many neighbours as the camera's ring gives, and all of a thousand frames at once would take hours.
            count = max(1, len(frames) // self._scorer.scoring.mutual_frames)
            for first in range(count):
                # The first group decides for all, as their scores are to be of one scale.
                decided = raw[0].score_maps if raw else None
                raw += self.score_mutually(frames[first::count], None if decided is None else decided.finer)
        else:
            for start in range(0, len(frames), batch):
                some = [self._at_its_size(frame) for frame in frames[start : start + batch]]
                plans = [self._book.calibration_plan(camera_id, frame.frame.meta.product) for frame in some]
                raw += self._scorer.score([frame.pixels for frame in some], plans)[0]
        variant = self._scorer.scoring.variant(plan.mode)
        return enrolment.calibrate(camera_id, raw, plan, self.weights_version, variant, false_alarm_rate, created_at)

    def set_bank(self, camera_id: str, version: str, data: bytes) -> None:
        """See ``pipeline.engine_ports.Engine``."""
        self._book.set_bank(camera_id, version, data)
        self._scorer.forget_neighbours(camera_id)

    def set_calibration(self, version: str, data: bytes) -> None:
        """See ``pipeline.engine_ports.Engine``."""
        self._book.set_calibration(version, data)

    def set_product(self, name: str, settings: ProductSettings) -> None:
        """See ``pipeline.engine_ports.Engine``.

        Raises:
            BadInputError: words that cannot be encoded, or too many tiles; the settings in use stay.
        """
        self._scorer.learn_words([settings.vocabulary])
        self._learn_types([settings.vocabulary])
        self._book.set_product(name, settings)

    def set_camera(self, camera_id: str, settings: CameraSettings) -> None:
        """See ``pipeline.engine_ports.Engine``."""
        self._book.set_camera(camera_id, settings)
        # Whatever changed: whoever announces a camera's settings can so make it forget what it took for usual.
        self._scorer.forget_neighbours(camera_id)
        if self._region_types is not None:
            self._region_types.forget(camera_id)

    def _at_its_size(self, frame: DecodedFrame) -> DecodedFrame:
        """Return the frame, decoded again if its settings have changed since, and ask for other pixels."""
        pixels: FramePixels = frame.pixels
        same = pixels.side_px == self._side_px(frame.frame.meta)
        finer = self._fine_px(frame.frame.meta) is not None and pixels.fine is None
        return frame if same and not finer else self.decode(frame.frame)

    def _side_px(self, meta: FrameMeta) -> int:
        return self._book.tiling(meta.camera_id, meta.product).side_px

    def _fine_px(self, meta: FrameMeta) -> int | None:
        return self._book.fine_px(meta.camera_id, meta.product)

    def _plan(self, frame: DecodedFrame) -> Plan:
        return self._book.plan(frame.frame.meta.camera_id, frame.frame.meta.product)

    def _mutual_plan(self, frame: DecodedFrame) -> Plan:
        return self._book.mutual_plan(frame.frame.meta.camera_id, frame.frame.meta.product)
