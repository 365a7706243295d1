"""What each stage costs on its own, in this process, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from inspector.apps import model_wiring
from inspector.apps.bench.measure import Cost, cost, median_cost, spent
from inspector.apps.bench.pool import DEFECT_EVERY, Pool
from inspector.domain.frame import Frame, FrameSource
from inspector.domain.outcome import Inspected
from inspector.domain.product import CameraMode, CameraSettings, ProductSettings
from inspector.pipeline import alert_record, outcomes
from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.pipeline.ports import FrameLog, OutRecord, ResultStore
from inspector.settings import Settings
from inspector.vision.camera_book import CameraBook
from inspector.vision.decode import DecodedImage, DecodeLimits, decode
from inspector.vision.enrolment import enrol
from inspector.vision.frame_pixels import FramePixels
from inspector.vision.judge import judge
from inspector.vision.plan import Plan
from inspector.vision.preprocess import preprocess
from inspector.vision.raw_scorer import RawScorer
from inspector.vision.region_embeddings import MadeWith

_FALSE_ALARM_RATE = 0.01
_BANK_FRAMES = 16
# Share of a map's pixels that an anomalous frame's threshold lets through: several regions, as on a bad part.
_DEFECTIVE_SHARE = 0.02
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One row of the table; ``frames`` says which frames the cost is a mean over."""

    stage: str
    frames: str
    cost: Cost


class Parts:
    """The parts of an inspector but for Kafka and Redis, made once, and a batch of frames to run through them."""

    def __init__(self, settings: Settings, pool: Pool, repeats: int) -> None:
        self._pool = pool
        self._repeats = repeats
        self._limits = DecodeLimits(settings.limits.max_frame_bytes, settings.limits.max_frame_pixels)
        product = ProductSettings()
        weights, self.manifest = model_wiring.prompt_weights(settings)
        spec = model_wiring.model_spec(settings)
        scoring = settings.scoring.to_domain(self.manifest.image_score)
        self._region_types = model_wiring.region_types(settings, self.manifest)
        if self._region_types is not None:
            self._region_types.learn_words([product.vocabulary])
        self._scorer = RawScorer(spec, weights, self.manifest.text_mode, [product.vocabulary], scoring)
        widths = self._scorer.level_widths()
        self._book = CameraBook(
            self.manifest,
            {"default": product},
            {},
            allow_unknown=True,
            level_widths=widths,
            tile=self._scorer.tile,
            scoring=self._scorer.scoring,
        )
        self.pixel_threshold = 1.0
        self._decoded = [self._decode(number) for number in range(settings.batch.max_size)]
        self._pixels: list[FramePixels] = [frame.pixels for frame in self._decoded]
        raw, _ = self._scorer.score(self._pixels, [self._plan()] * len(self._pixels), embed=True)
        self._raw = raw
        maps = np.stack([scores.anomaly_map for scores in raw])
        # What lets regions through whatever the model makes of the frames.
        self.pixel_threshold = float(np.clip(np.quantile(maps, 1 - _DEFECTIVE_SHARE), 0, 1))

    @property
    def pixels(self) -> Sequence[NDArray[np.uint8]]:
        """A batch of decoded frames, uint8 [S, S, 3], as the tower takes them."""
        return [frame.square for frame in self._pixels]

    def stages(self) -> Iterator[Stage]:
        """Measure and yield stage after stage."""
        frames, repeats = len(self._pixels), self._repeats
        images = [self._pool.image(number) for number in range(frames)]
        yield Stage("decode", "all", cost(lambda: [self._decode_image(image) for image in images], frames, repeats))
        prepared = cost(lambda: preprocess(self.pixels, (0.5,) * 3, (0.5,) * 3), frames, repeats)
        yield Stage("preprocess", "all", prepared)
        scored = cost(lambda: self._score(self._plan()), frames, repeats)
        yield Stage("score", "all", scored - prepared)
        with_bank = self._plan_with_bank()
        yield Stage("bank", "with a bank", cost(lambda: self._score(with_bank), frames, repeats) - scored)
        regions = cost(lambda: self._judge(self._plan(image_threshold=1.0)), frames, repeats)
        yield Stage("regions", "with regions", regions)
        anomalous = cost(lambda: self._judge(self._plan(image_threshold=0.0)), frames, repeats)
        yield Stage("overlay", "anomalous", anomalous - regions)

    def inspected(self, count: int) -> list[Inspected]:
        """Return ``count`` outcomes as the inspector stores them, every tenth of them anomalous, with fresh ids."""
        verdicts = {
            anomalous: self._judge(self._plan(image_threshold=0.0 if anomalous else 1.0))[0]
            for anomalous in (True, False)
        }
        return [self._outcome(number, verdicts[number % DEFECT_EVERY == 0]) for number in range(count)]

    def _outcome(self, number: int, verdict: Verdict) -> Inspected:
        source = FrameSource(f"{self._pool.prefix}none", 0, number)
        frame = Frame(self._pool.meta(number), source, self._pool.image(number))
        decoded = replace(self._decoded[number % len(self._decoded)], frame=frame)
        return outcomes.inspected(
            decoded,
            verdict,
            weights_version=self.manifest.version,
            model=self.manifest.model,
            inspected_at=datetime.now(UTC),
            queue_ms=0.0,
        )

    def _decode(self, number: int) -> DecodedFrame:
        source = FrameSource(f"{self._pool.prefix}none", 0, number)
        frame = Frame(self._pool.meta(number), source, self._pool.image(number))
        decoded = self._decode_image(frame.image)
        pixels = FramePixels(decoded.pixels, decoded.fine)
        return DecodedFrame(frame, pixels, decoded.width_px, decoded.height_px)

    def _decode_image(self, image: bytes) -> DecodedImage:
        # As for a camera with a reference, which most have after their first frames.
        fine_px = self._book.fine_px(self._pool.good_cameras[0], "default")
        return decode(image, "image/jpeg", self._limits, self.manifest.image_size_px, fine_px)

    def _score(self, plan: Plan) -> None:
        self._scorer.score(self._pixels, [plan] * len(self._pixels), embed=True)

    def _judge(self, plan: Plan) -> list[Verdict]:
        made_with = MadeWith(self.manifest.model, self.manifest.version, self.manifest.trained)
        return [
            judge(frame, raw, plan, {}, made_with, self._region_types)
            for frame, raw in zip(self._decoded, self._raw, strict=True)
        ]

    def _plan(self, image_threshold: float = 1.0) -> Plan:
        # Zero-shot, or what a reference costs would be within the score already.
        camera = CameraSettings(
            mode=CameraMode.ZERO_SHOT, image_threshold=image_threshold, pixel_threshold=self.pixel_threshold
        )
        self._book.set_camera(self._pool.defect_camera, camera)
        return self._book.plan(self._pool.defect_camera, "default")

    def _plan_with_bank(self) -> Plan:
        camera_id = self._pool.good_cameras[0]
        frames = [self._decode(number) for number in range(max(_BANK_FRAMES, len(self._pixels)))]
        # Never the frames that are scored: they would be left out of the bank, at a cost of its own.
        others = [frame.pixels.mirrored() for frame in frames]
        bank = enrol(self._scorer, self.manifest, others, _FALSE_ALARM_RATE, self._book.product("default"))
        self._book.set_bank(camera_id, "bench", bank)
        return self._book.plan(camera_id, "default")


def redis_stage(store: ResultStore, results: Sequence[Inspected], batch: int) -> Stage:
    """Measure storing ``results`` in batches: our side of it; what the server uses is its own process's."""
    costs = [spent(lambda part=part: store.store(part, 0), len(part)) for part in _full_batches(results, batch)]  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    return Stage("redis", "all", median_cost(costs))


def kafka_stage(log: FrameLog, alerts_topic: str, results: Sequence[Inspected], batch: int) -> Stage:
    """Measure taking as many frames as there are ``results`` off the topic, and committing them with their alerts."""

    def take_and_commit(part: Sequence[Inspected]) -> None:
        next_offsets: dict[tuple[str, int], int] = {}
        taken, ownership = 0, None
        while taken < len(part):
            polled = log.poll(_POLL_S, len(part) - taken)
            ownership = polled.ownership
            taken += len(polled.records)
            next_offsets |= {(r.source.topic, r.source.partition): r.source.offset + 1 for r in polled.records}
        records: list[OutRecord] = [alert_record.encode(r.alert, alerts_topic) for r in part if r.alert is not None]
        if ownership is not None:
            log.commit(ownership, next_offsets, records)

    parts = _full_batches(results, batch)
    take_and_commit(parts[0])  # joins the group, among other things
    costs = [spent(lambda part=part: take_and_commit(part), len(part)) for part in parts[1:]]  # type: ignore[misc]  # as above
    return Stage("kafka", "all", median_cost(costs))


def _full_batches(results: Sequence[Inspected], batch: int) -> list[Sequence[Inspected]]:
    return [results[start : start + batch] for start in range(0, len(results) - batch + 1, batch)]
