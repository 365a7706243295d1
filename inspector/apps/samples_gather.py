"""Fills the store of samples from what the line keeps for a while: results and frames in Redis, frames in Kafka."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from inspector.adapters.artefacts import version_of
from inspector.adapters.redis.results import StreamEntry
from inspector.adapters.samples.store import ObjectSampleStore
from inspector.apps.sample_maker import NewSample, SampleMaker
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback
from inspector.domain.records import to_json
from inspector.domain.result import InspectionResult, PredLabel
from inspector.domain.sample import MAX_PARTS, Sample, SampleKind, feedback_part, is_spoken, mask_part
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.ports import ArtefactStore
from inspector.pipeline.sample_choice import Candidate, Refusal, most_looked_at, worth_fetching

MASK_GONE = "a mask is kept nowhere any more"
# Each person's word is a part, and so is the mask; one part is the result.
_MAX_PEOPLE = (MAX_PARTS - 1) // 2


class CameraStreams(Protocol):
    """What cameras there are and what they saw: see ``adapters.redis.results.RedisResults``."""

    def cameras(self) -> Mapping[str, datetime]:
        """Return every camera with results kept, and when its last one was stored."""
        ...

    def stream(self, camera_id: str) -> Sequence[StreamEntry]:
        """Return what a camera's stream tells of, the last judged first."""
        ...


@dataclass(frozen=True, slots=True)
class GatherReport:
    """What one gathering did, and what the store holds after it.

    ``added`` and ``held`` are numbers of samples by kind. ``left_out``: what was looked at and not kept, by reason.
    ``feedback_lost``: frame ids people spoke of whose frame is kept nowhere any more, or found no room.
    ``feedback_in_conflict``: frames on which people differ; they are kept too.
    """

    added: Mapping[SampleKind, int]
    held: Mapping[SampleKind, int]
    left_out: Mapping[str, int]
    feedback_lost: tuple[str, ...]
    feedback_in_conflict: int
    used_bytes: int
    max_bytes: int


class Gatherer:
    """Gathers once. What it did is in the store after each sample: it may be killed and repeated."""

    def __init__(
        self, maker: SampleMaker, streams: CameraStreams, masks: ArtefactStore, store: ObjectSampleStore
    ) -> None:
        self._maker = maker
        self._streams = streams
        self._masks = masks
        self._store = store
        self._kept: dict[str, Sample] = {}
        self._without_frame: set[str] = set()
        self._added: Counter[SampleKind] = Counter()
        self._left_out: Counter[str] = Counter()

    def gather(self, book: FeedbackBook) -> GatherReport:
        """Keep what people spoke of, then what is uncertain, then normal frames.

        Raises:
            ServiceUnavailableError: Redis, Kafka or the store is away or full; what was kept before stays.
            CredentialsError: one of them refuses us.
        """
        self._store.sweep()
        self._kept = {sample.frame_id: sample for sample in self._store.samples()}
        spoken_of = _by_frame(book)
        lost = tuple(frame_id for frame_id, said in spoken_of.items() if not self._keep_feedback(frame_id, said))
        for camera_id in self._streams.cameras():
            self._keep_unlabelled(camera_id, spoken_of.keys())
        return GatherReport(
            added=dict(self._added),
            held=Counter(sample.kind for sample in self._store.samples()),
            left_out=dict(self._left_out),
            feedback_lost=lost,
            feedback_in_conflict=len(book.conflicts()),
            used_bytes=self._store.used_bytes(),
            max_bytes=self._store.limits.max_bytes,
        )

    def _keep_feedback(self, frame_id: str, said: Sequence[Feedback]) -> bool:
        """Keep a frame with what people said of it; tell whether it is kept."""
        kept = self._kept.get(frame_id)
        if kept is not None and kept.camera_id != said[0].camera_id:
            kept = None
        if kept is not None and _is_up_to_date(kept, said):
            return True
        result = self._maker.result(frame_id, said[0].camera_id)
        made = self._kept_again(kept) if kept is not None and _is_spoken_of(kept, result, said) else None
        if made is None:
            made = None if result is None else self._made(result, SampleKind.FEEDBACK)
        if made is None:
            return False
        words = {feedback_part(feedback.feedback_id): to_json(feedback) for feedback in said}
        return self._offer(replace(made, parts=made.parts | words | dict(self._drawn(said, kept))))

    def _kept_again(self, kept: Sample) -> NewSample | None:
        """Return a kept sample as one that people spoke of, without what they said before; None if it is damaged."""
        own = [part.name for part in kept.parts if not is_spoken(part.name)]
        try:
            parts = {name: data for name in own if (data := self._store.part(kept, name)) is not None}
            return NewSample(replace(kept, kind=SampleKind.FEEDBACK), self._store.image(kept), parts)
        except BadInputError:
            return None

    def _drawn(self, said: Sequence[Feedback], kept: Sample | None) -> Iterator[tuple[str, bytes]]:
        """Yield the masks people drew, by part; those that Redis has let go come from the kept sample."""
        for feedback in said:
            if feedback.mask_version is None:
                continue
            name = mask_part(feedback.feedback_id)
            try:
                yield name, self._masks.get(feedback.mask_version)
            except BadInputError:
                mask = self._kept_mask(kept, name, feedback.mask_version)
                if mask is None:
                    self._left_out[MASK_GONE] += 1
                else:
                    yield name, mask

    def _kept_mask(self, kept: Sample | None, name: str, version: str) -> bytes | None:
        try:
            mask = None if kept is None else self._store.part(kept, name)
        except BadInputError:
            return None
        return mask if mask is not None and version_of(mask) == version else None

    def _keep_unlabelled(self, camera_id: str, spoken_of: Collection[str]) -> None:
        """Keep a camera's most uncertain frames of the weights in use, and a reservoir of its normal ones."""
        entries = {entry.frame_id: entry for entry in self._streams.stream(camera_id)}
        newest = next((found for frame_id in entries if (found := self._maker.result(frame_id, camera_id))), None)
        if newest is None:
            return
        for kind in (SampleKind.UNCERTAIN, SampleKind.NORMAL):
            settled = {*self._kept, *spoken_of, *self._without_frame}
            of_camera = [sample for sample in self._kept.values() if sample.camera_id == camera_id]
            candidates = [
                Candidate(entry.frame_id, abs(entry.anomaly_score - newest.image_threshold))
                for entry in entries.values()
                if kind is SampleKind.UNCERTAIN or entry.pred_label is PredLabel.NORMAL
                if entry.frame_id not in settled
            ]
            looked_at = 0
            for candidate in worth_fetching(of_camera, candidates, kind, self._store.limits):
                result = self._maker.result(candidate.frame_id, camera_id)
                if result is None or not _can_be(kind, result, newest.weights_version):
                    continue
                if (made := self._made(result, kind)) is None:
                    continue
                self._offer(made)
                looked_at += 1
                if looked_at == most_looked_at(kind, self._store.limits):
                    break

    def _made(self, result: InspectionResult, kind: SampleKind) -> NewSample | None:
        made = self._maker.make(result, kind)
        if isinstance(made, NewSample):
            return made
        self._left_out[made] += 1
        self._without_frame.add(result.frame_id)
        return None

    def _offer(self, new: NewSample) -> bool:
        refusal: Refusal | None = self._store.offer(new.sample, new.image, new.parts)
        if refusal is None:
            self._kept[new.sample.frame_id] = new.sample
            self._added[new.sample.kind] += 1
        else:
            self._left_out[refusal.value] += 1
        return refusal is None


def _by_frame(book: FeedbackBook) -> Mapping[str, Sequence[Feedback]]:
    """Return what everybody said of each frame, as judged by any weights; of very many people the latest."""
    found: dict[str, list[Feedback]] = defaultdict(list)
    for said in book.by_person().values():
        for feedback in said:
            found[feedback.frame_id].append(feedback)
    return {
        frame_id: sorted(said, key=lambda feedback: (feedback.given_at, feedback.feedback_id))[-_MAX_PEOPLE:]
        for frame_id, said in found.items()
    }


def _is_up_to_date(kept: Sample, said: Sequence[Feedback]) -> bool:
    wanted = {feedback_part(feedback.feedback_id): version_of(to_json(feedback)) for feedback in said}
    wanted |= {mask_part(feedback.feedback_id): feedback.mask_version for feedback in said if feedback.mask_version}
    there = {part.name: part.sha256 for part in kept.parts if is_spoken(part.name)}
    return kept.kind is SampleKind.FEEDBACK and there == wanted


def _is_spoken_of(kept: Sample, result: InspectionResult | None, said: Sequence[Feedback]) -> bool:
    """Tell whether people speak of the picture that is kept: a camera may use the ids of its frames again.

    The result tells, while there is one. Without it, words that are new must be of a verdict by the same weights.
    """
    if result is not None:
        return result.captured_at == kept.captured_at
    heard = {part.name for part in kept.parts}
    new = [each for each in said if feedback_part(each.feedback_id) not in heard]
    return all(each.weights_version == kept.weights_version for each in new)


def _can_be(kind: SampleKind, result: InspectionResult, weights_version: str) -> bool:
    """Tell whether a result may be of this kind: a stream tells of the first verdict only."""
    if kind is SampleKind.NORMAL:
        return result.pred_label is PredLabel.NORMAL
    return result.weights_version == weights_version
