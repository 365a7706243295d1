"""The last frames of a camera that is scored mutually, each measured against the others, within bounds."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inspector.domain.product import ProductSettings
from inspector.domain.scoring import ScoringSettings
from inspector.pipeline.calibration import fit_unlabelled_score_map
from inspector.vision.bank_features import (
    FINE,
    LEVELS,
    TEXTURE,
    ZERO_SHOT,
    counting_levels,
    only_in_place,
    peak_fraction,
)
from inspector.vision.frame_look import Look, same_look
from inspector.vision.image_score import Peaks, fit_score_maps, peaks
from inspector.vision.mutual import fit_measure, lies_in_place, usual
from inspector.vision.score_map import ScoreMaps
from inspector.vision.usual_places import shows_more_finer

# Share of a ring that may be anomalous frames. Their like must stay rarer than the frames whose mean makes a score
# (``mutual_keep``), or a defect that comes again and again would be as usual as what is good.
_MOST_SUSPECT = 1 / 8
# How many anomalous frames that were let go still say what is usual, as a share of those held: never so many that,
# with those held, they would be a third (``fit_unlabelled_score_map``). Of the others all of the last turn.
_LET_GO_SUSPECT = 1 / 4

ToMaps = Callable[[Tensor], NDArray[np.float32]]


@dataclass(slots=True)
class MutualFrame:
    """One frame: what recognises it again, its features [rows, columns, D] by level, and, once scored, its scores.

    ``look`` recognises a part that has not moved since the frame before (see ``frame_look``); None: not asked.
    ``repeats`` is the digest of the held frame whose part it shows again. ``distances`` [rows, columns] by level and
    ``peaks`` are as they were found when the frame was last measured, ``suspect`` whether it was anomalous then.
    """

    digest: str
    product: ProductSettings
    features: Mapping[str, Tensor] = field(repr=False)
    distances: Mapping[str, Tensor] | None = field(default=None, repr=False)
    peaks: Peaks | None = None
    look: Look | None = field(default=None, repr=False)
    repeats: str | None = None
    suspect: bool = False

    @property
    def size(self) -> int:
        """Bytes held, with the distances to come."""
        patches = sum(values[..., 0].numel() for values in self.features.values())
        return sum(values.nbytes for values in self.features.values()) + 4 * patches


@dataclass(frozen=True, slots=True)
class MutualScore:
    """A frame's raw map, float32 [S, S], its peaks where the product is inspected, and what calibrates both."""

    anomaly_map: NDArray[np.float32] = field(repr=False)
    peaks: Peaks
    score_maps: ScoreMaps


class MutualRing:
    """The last frames of one camera, oldest first, as far as they say what is usual.

    A part that stands still before the camera is one frame, however many are taken of it: a ring full of one part would
    find every other strange. And few anomalous frames are held: when a tool breaks, every part is bad from then on, and
    within a ring's length the defect would be what is usual. A lasting change so goes on being reported until somebody
    says that it is right, by enrolling the camera or announcing its settings.
    """

    def __init__(self, scoring: ScoringSettings, false_alarm_rate: float, finer: bool | None = None) -> None:
        """``finer``: whether fine texture counts where frames are matched in place; None: they decide themselves."""
        self._scoring = scoring
        self._always_finer = finer
        self._false_alarm_rate = false_alarm_rate
        self._frames: OrderedDict[str, MutualFrame] = OrderedDict()
        self.room = scoring.mutual_memory_mb * 2**20
        self._let_go: deque[Peaks] = deque(maxlen=scoring.mutual_frames)
        self._let_go_suspect: deque[Peaks] = deque(maxlen=scoring.mutual_frames)
        self._in_place: bool | None = None
        self._levels: tuple[str, ...] = ()
        self._finer: bool | None = None
        self._taken = 0
        self._measured_among = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(frame.size for frame in self._frames.values())

    @property
    def may_stand_still(self) -> bool:
        """Whether the camera's frames are matched in their place, or it is not known yet."""
        return self._in_place is not False and self._scoring.bank_matching != "anywhere"

    def take(self, frames: Sequence[MutualFrame]) -> None:
        """Add frames that are not there yet, forgetting the oldest; another grid or other words start the ring anew."""
        for frame in frames:
            if self._frames and not _comparable(frame, next(iter(self._frames.values()))):
                self._frames.clear()
                self._measure_anew()
                self._in_place, self._measured_among = None, 0
            frame.repeats = self._shown_before(frame)
            if frame.repeats is not None:
                continue
            self._taken += frame.digest not in self._frames
            self._frames.setdefault(frame.digest, frame)
        while len(self._frames) > self._most(frames[-1]):
            self._part_with(next(iter(self._frames)))

    @torch.inference_mode()
    def score(
        self, frames: Sequence[MutualFrame], to_maps: ToMaps, least: int | None = None
    ) -> list[MutualScore] | None:
        """Score frames, taken before, against all others of the ring; None while these are too few.

        ``least``: how many it must hold, None: ``mutual_min_frames``.
        """
        least = self._scoring.mutual_min_frames if least is None else least
        if len(self._frames) < least:
            return None
        held = list(self._frames.values())
        in_place = self._matches_in_place(held)
        self._agree_on_levels(held, frames, in_place=in_place)
        references = _stacked(held, self._levels)
        self._outgrow(held)
        unscored = [frame for frame in held if frame.distances is None]
        # A frame that comes again is the one that is held, not one more.
        again = [self._frames.get(frame.digest, frame) for frame in frames]
        asked = {frame.digest: frame for frame in (*unscored, *again)}
        self._measure(list(asked.values()), references, in_place)
        if self._decide_on_finer(held, anew=len(unscored) == len(held)):
            asked = {frame.digest: frame for frame in (*held, *again)}  # whose peaks are of another scale now
            self._forget_scores()
        maps = to_maps(usual(self._distances(held)).score(self._distances(list(asked.values()))))
        by_digest = dict(zip(asked, maps, strict=True))
        for digest, frame in asked.items():
            frame.peaks = self._peaks(by_digest[digest], frame)
        seen = [frame.peaks for frame in self._frames.values() if frame.peaks is not None]
        # The anomalous ones that were parted with count too: without them the highest score of a good frame, taken for
        # one of them, would be missing for good, and each such frame would bring the threshold down on the next.
        seen += [*self._let_go, *[*self._let_go_suspect][-round(_LET_GO_SUSPECT * len(self)) :]]
        fit = partial(fit_unlabelled_score_map, false_alarm_rate=self._false_alarm_rate)
        score_maps = replace(fit_score_maps(seen, fit), finer=bool(self._finer))
        for frame in asked.values():
            frame.suspect = frame.peaks is not None and frame.peaks.image >= score_maps.image.midpoint
        self._part_with_suspects(held[0], least)
        return [
            MutualScore(by_digest[frame.digest], self._peaks(by_digest[frame.digest], frame), score_maps)
            for frame in frames
        ]

    def _agree_on_levels(self, held: Sequence[MutualFrame], asked: Sequence[MutualFrame], *, in_place: bool) -> None:
        """Settle on the levels that all frames have; what counts only in place, frames matched anywhere part with.

        What was measured on others is of another scale, and is measured anew.
        """
        if not in_place:
            for frame in (*held, *asked):
                parted = only_in_place(frame.features)
                frame.features = {name: values for name, values in frame.features.items() if name not in parted}
        common = frozenset.intersection(*(frozenset(frame.features) for frame in (*held, *asked)))
        levels = tuple(name for name in LEVELS if name in common)
        if levels != self._levels:
            self._measure_anew()
            self._levels = levels

    def _decide_on_finer(self, held: Sequence[MutualFrame], *, anew: bool) -> bool:
        """Decide, where it is time to, whether the fine level counts; say whether that changes what was decided."""
        if FINE not in self._levels:
            self._finer = None
            return False
        if self._finer is not None and not anew and self._taken:
            return False
        measured, before = self._distances(held, (TEXTURE, FINE)), self._finer
        self._finer = self._always_finer
        if self._finer is None:
            self._finer = shows_more_finer(measured[TEXTURE], measured[FINE], already=bool(before))
        return before is not None and before != self._finer

    @property
    def _counting(self) -> tuple[str, ...]:
        """The levels that have a share in the score."""
        return counting_levels(self._levels, in_place=bool(self._in_place), finer=bool(self._finer))

    def _distances(self, frames: Sequence[MutualFrame], levels: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Return distances [F, rows, columns] of frames that were measured, by level."""
        measured = [frame.distances for frame in frames if frame.distances is not None]
        names = self._counting if levels is None else levels
        return {name: torch.stack([each[name] for each in measured]) for name in names}

    def _peaks(self, anomaly_map: NDArray[np.float32], frame: MutualFrame) -> Peaks:
        return peaks(anomaly_map, frame.product, peak_fraction(self._scoring, self._counting))

    def _most(self, frame: MutualFrame) -> int:
        """How many frames of the size of ``frame`` the ring holds when it is full."""
        return min(self._scoring.mutual_frames, self.room // frame.size)

    def _shown_before(self, frame: MutualFrame) -> str | None:
        """Return the digest of the held frame whose part, not moved since, a frame shows again; None: of none."""
        if not self._frames or frame.digest in self._frames:
            return None
        last = next(reversed(self._frames.values()))
        return last.digest if same_look(last.look, frame.look) else None

    def _part_with_suspects(self, frame: MutualFrame, least: int) -> None:
        """Forget the oldest anomalous frames beyond a share, but never so many that the camera would be zero-shot."""
        suspects = [digest for digest, each in self._frames.items() if each.suspect]
        excess = len(suspects) - max(1, round(_MOST_SUSPECT * self._most(frame)))
        for digest in suspects[: max(0, min(excess, len(self) - least))]:
            self._part_with(digest)

    def _part_with(self, digest: str) -> None:
        """Forget a frame, and keep for a while what it scored."""
        frame = self._frames.pop(digest)
        if frame.peaks is not None:
            (self._let_go_suspect if frame.suspect else self._let_go).append(frame.peaks)

    def _measure_anew(self) -> None:
        """Forget what was measured, which is of another scale than what is to come."""
        for frame in self._frames.values():
            frame.distances = None
        self._forget_scores()

    def _forget_scores(self) -> None:
        self._let_go.clear()
        self._let_go_suspect.clear()

    def _outgrow(self, held: Sequence[MutualFrame]) -> None:
        """Forget what was measured among few, where there are half as many again, and once the ring is full.

        The more neighbours, the nearer the nearest of them: peaks among 8 frames are higher than peaks among 32, and
        beside these they would raise the threshold until they have left the ring.
        """
        if self._measured_among < len(held) >= min(1.5 * self._measured_among, self._most(held[0])):
            self._measure_anew()
            self._measured_among = len(held)

    def _measure(self, asked: Sequence[MutualFrame], references: Mapping[str, Tensor], in_place: bool) -> None:
        number = {digest: i for i, digest in enumerate(self._frames)}
        measure = fit_measure(references, in_place)
        of = [number.get(frame.repeats or frame.digest, -1) for frame in asked]
        own = torch.tensor(of, device=_device(references))
        found = measure.distances(_stacked(asked, self._levels), references, own, self._scoring.mutual_keep)
        for i, frame in enumerate(asked):
            frame.distances = {level: values[i] for level, values in found.items()}

    def _matches_in_place(self, held: Sequence[MutualFrame]) -> bool:
        if self._scoring.bank_matching != "auto":
            self._taken %= self._scoring.mutual_frames
            self._in_place = self._scoring.bank_matching == "in_place"
            return self._in_place
        # Once for each turn of the ring: a camera that is moved is moved for long, and asking costs as much as scoring.
        if self._in_place is None or self._taken >= self._scoring.mutual_frames:
            compared = [TEXTURE] if TEXTURE in held[0].features else []
            found = lies_in_place(_stacked(held, compared), self._scoring.mutual_keep)
            if self._in_place is not None and found != self._in_place:
                # What was measured the other way would pass for what is usual.
                self._measure_anew()
            self._in_place, self._taken = found, 0
        return self._in_place


def to_held(features: Mapping[str, Tensor], i: int) -> dict[str, Tensor]:
    """Return what a ring holds of image ``i`` of features [B, rows, columns, D] by level.

    Half precision, but for texture, whose whitened features reach hundreds, and zero-shot maps, whose logits reach
    tens: half is coarser there than normals differ.
    """
    full = (TEXTURE, ZERO_SHOT)
    return {name: values[i].clone() if name in full else values[i].half() for name, values in features.items()}


def _stacked(frames: Sequence[MutualFrame], levels: Sequence[str]) -> dict[str, Tensor]:
    return {level: torch.stack([frame.features[level] for frame in frames]) for level in levels}


def _comparable(one: MutualFrame, other: MutualFrame) -> bool:
    """Whether two frames are of one grid, and their zero-shot maps, where they have any, of the same words."""
    shapes, others = (
        {name: values.shape for name, values in each.features.items() if name not in only_in_place(each.features)}
        for each in (one, other)
    )
    alike = ZERO_SHOT not in one.features or one.product.vocabulary == other.product.vocabulary
    return shapes == others and alike


def _device(features: Mapping[str, Tensor]) -> torch.device:
    return next(iter(features.values())).device
