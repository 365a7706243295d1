"""Which frames are worth keeping for training, and which make room for them. Pure: no store, no clock, no dice.

Normal frames are a reservoir: every frame draws a number from its id and the seed, and the lowest numbers stay. That is
a uniform sample without replacement, as J. S. Vitter's algorithm R keeps ("Random Sampling with a Reservoir", 1985), in
the form of a bottom-k sketch (E. Cohen and H. Kaplan, "Summarizing Data using Bottom-k Sketches", 2007): it needs no
count of what was seen, so that a frame may be looked at twice, in any order and by several processes.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from inspector.domain.records import to_json
from inspector.domain.sample import Sample, SampleKind

_LOOKED_AT = 2


@dataclass(frozen=True, slots=True)
class SampleLimits:
    """``max_bytes`` for all samples; the numbers are for each camera.

    Pictures whose pHashes differ in at most ``phash_distance`` of 64 bits look alike.
    """

    max_bytes: int
    normals_per_camera: int
    uncertain_per_camera: int
    phash_distance: int
    seed: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A frame that might be kept, before its picture was looked at; ``margin`` is ``Sample.margin``, or near it."""

    frame_id: str
    margin: float


class Refusal(StrEnum):
    """Why a frame is not kept."""

    SAME_PICTURE = "the very same picture is kept"
    ALIKE = "it looks like one that is kept"
    ENOUGH = "enough that are worth more are kept"
    BUDGET = "no room within the budget"


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a sample is kept; ``evict`` go to make room for it, the one worth least first."""

    evict: tuple[Sample, ...] = ()
    refusal: Refusal | None = None


def admit(kept: Collection[Sample], incoming: Sample, used_bytes: int, limits: SampleLimits) -> Admission:
    """Decide about one sample.

    ``kept`` and ``used_bytes`` (of everything in the store) are without what is kept of the same frame, which it
    replaces. What people spoke of is always worth keeping, and never makes room for anything: only the budget ends it.
    """
    evict: tuple[Sample, ...] = ()
    if incoming.kind is not SampleKind.FEEDBACK:
        of_camera = [sample for sample in kept if sample.camera_id == incoming.camera_id]
        if any(sample.sha256 == incoming.sha256 for sample in of_camera):
            return Admission(refusal=Refusal.SAME_PICTURE)
        mates = [sample for sample in of_camera if sample.kind is incoming.kind]
        ranked = _ranked([*mates, incoming], limits)
        evict = tuple(reversed(ranked[_quota(incoming.kind, limits) :]))
        if incoming in evict:
            alike = any(_alike(incoming, mate, limits) for mate in mates)
            return Admission(refusal=Refusal.ALIKE if alike else Refusal.ENOUGH)
    return _within_budget(kept, incoming, evict, used_bytes, limits)


def beyond_limits(kept: Collection[Sample], used_bytes: int, limits: SampleLimits) -> list[Sample]:
    """Return what has to go after limits were lowered, the one worth least first; never what people spoke of."""
    excess = used_bytes - limits.max_bytes
    going: list[Sample] = []
    for place, sample in _least_worth_first(kept, limits):
        if place >= _quota(sample.kind, limits) or excess > 0:
            going.append(sample)
            excess -= kept_bytes(sample)
    return going


def worth_fetching(
    kept: Collection[Sample], candidates: Collection[Candidate], kind: SampleKind, limits: SampleLimits
) -> list[Candidate]:
    """Return the frames of one camera whose pictures may be kept as ``kind``, the best first.

    ``kept`` are that camera's samples. Look at as many as ``most_looked_at`` says.
    """
    quota = _quota(kind, limits)
    if quota == 0:
        return []
    mates = [sample for sample in kept if sample.kind is kind]
    distinct, _ = _distinct_first(mates, limits)
    chosen = sorted((_drawn(found.frame_id, found.margin, kind, limits), found) for found in candidates)
    if len(distinct) >= quota:
        last = _precedence(distinct[quota - 1], _current_weights(mates), limits)
        chosen = [(drawn, found) for drawn, found in chosen if (False, *drawn) < last]
    return [found for _, found in chosen]


def most_looked_at(kind: SampleKind, limits: SampleLimits) -> int:
    """Return how many pictures of a camera to look at in one go: more than are kept, as some will look alike."""
    return _LOOKED_AT * _quota(kind, limits)


def kept_bytes(sample: Sample) -> int:
    """Return what a sample takes: its image, its parts and its metadata."""
    return sample.total_bytes + len(to_json(sample))


def phash_distance(one: Sample, other: Sample) -> int:
    """Return in how many of 64 bits two pHashes differ."""
    return (int(one.phash, 16) ^ int(other.phash, 16)).bit_count()


def _within_budget(
    kept: Collection[Sample], incoming: Sample, evict: tuple[Sample, ...], used_bytes: int, limits: SampleLimits
) -> Admission:
    excess = used_bytes + kept_bytes(incoming) - sum(map(kept_bytes, evict)) - limits.max_bytes
    if excess <= 0:
        return Admission(evict)
    gone = {sample.frame_id for sample in evict}
    staying = [sample for sample in kept if sample.frame_id not in gone]
    for _, sample in _least_worth_first([*staying, incoming], limits):
        if sample is incoming:
            break
        evict += (sample,)
        excess -= kept_bytes(sample)
        if excess <= 0:
            return Admission(evict)
    return Admission(refusal=Refusal.BUDGET)


def _least_worth_first(samples: Collection[Sample], limits: SampleLimits) -> Iterator[tuple[int, Sample]]:
    """Yield what may go with its place in its camera's ranks: the uncertain before the normal, last places first."""
    groups: dict[tuple[SampleKind, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.kind, sample.camera_id].append(sample)
    for kind in (SampleKind.UNCERTAIN, SampleKind.NORMAL):
        of_kind = [group for (group_kind, _), group in groups.items() if group_kind is kind]
        placed = [item for group in of_kind for item in enumerate(_ranked(group, limits))]
        # So the camera with the most gives first.
        yield from sorted(placed, key=lambda item: (-item[0], item[1].camera_id))


def _ranked(samples: Sequence[Sample], limits: SampleLimits) -> list[Sample]:
    """Return samples of one camera and kind, the best first; those that look like a better one come last."""
    distinct, alike = _distinct_first(samples, limits)
    return distinct + alike


def _distinct_first(samples: Sequence[Sample], limits: SampleLimits) -> tuple[list[Sample], list[Sample]]:
    """Part samples of one camera and kind into those that look like no better one, and the rest; both best first."""
    current = _current_weights(samples)
    distinct: list[Sample] = []
    alike: list[Sample] = []
    for sample in sorted(samples, key=lambda sample: _precedence(sample, current, limits)):
        is_new = not any(_alike(sample, better, limits) for better in distinct)
        (distinct if is_new else alike).append(sample)
    return distinct, alike


def _alike(one: Sample, other: Sample, limits: SampleLimits) -> bool:
    return one.product == other.product and phash_distance(one, other) <= limits.phash_distance


def _current_weights(samples: Sequence[Sample]) -> str:
    return max(samples, key=lambda sample: (sample.kept_at, sample.frame_id)).weights_version if samples else ""


def _precedence(sample: Sample, current_weights: str, limits: SampleLimits) -> tuple[bool, float, str]:
    """Lower is better. Uncertain frames are so for the weights that scored them: those of older weights come last."""
    outdated = sample.kind is SampleKind.UNCERTAIN and sample.weights_version != current_weights
    return outdated, *_drawn(sample.frame_id, sample.margin, sample.kind, limits)


def _drawn(frame_id: str, margin: float, kind: SampleKind, limits: SampleLimits) -> tuple[float, str]:
    return (margin if kind is SampleKind.UNCERTAIN else _lot(frame_id, limits)), frame_id


def _lot(frame_id: str, limits: SampleLimits) -> float:
    """Return the number a frame draws, 0..1: the same each time, and like a random one."""
    digest = hashlib.sha256(f"{limits.seed}:{frame_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def _quota(kind: SampleKind, limits: SampleLimits) -> int:
    return limits.normals_per_camera if kind is SampleKind.NORMAL else limits.uncertain_per_camera
