"""Why a candidate's weights were let through to the line or kept from it (``inspection.gate/1``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inspector.domain.checks import check_number, check_word

GATE_SCHEMA = "inspection.gate/1"

GroupKind = Literal["camera", "type", "held_out"]


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What a candidate is held to. Errors, gains and margins are shares of frames, 0..1 (see ``pipeline.gate``).

    ``confidence``: of the gain's two-sided interval and of each one-sided bound; the interval is made of ``resamples``.
    ``least_improved``: so many frames must be judged better than before, as fewer may be chance whatever the interval.
    ``frozen_margin``: the interval of the gain on the frozen set must end above minus this. ``group_margin``: the most
    that a camera or a type may lose; where there are fewer than ``group_least_frames``, one frame alone is no loss.
    ``false_alarm_target``: what the upper bound of the false-alarm rate on frozen normal frames must be within.
    ``doubtful_alarms``: the share of the frozen normal frames in doubt on which the candidate alone may alarm.
    ``latency_ratio``: time a frame, candidate over current. ``type_weight``: a defect found under a wrong name, as a
    share of a missed one.

    Of people: ``person_error_rate`` is how often an honest person may be wrong, ``person_significance`` the chance with
    which one no worse than that is named all the same, ``person_error_bound`` the error rate that must be ruled out of
    a person on whom a gain hangs, or of whom more than ``unchecked_corrections`` corrections hang on nobody else.
    ``trusted_persons`` are taken to be better than that bound.

    Raises:
        BadInputError: a value out of range.
    """

    confidence: float = 0.95
    resamples: int = 10_000
    least_improved: int = 6
    frozen_margin: float = 0.03
    group_margin: float = 0.08
    group_least_frames: int = 20
    false_alarm_target: float = 0.05
    doubtful_alarms: float = 0.2
    latency_ratio: float = 1.2
    type_weight: float = 0.5
    person_error_rate: float = 0.1
    person_significance: float = 0.01
    person_error_bound: float = 0.3
    unchecked_corrections: int = 20
    trusted_persons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_number("gate.confidence", self.confidence, 0.5, 0.9999)
        check_number("gate.resamples", self.resamples, 1000, 1_000_000)
        check_number("gate.least_improved", self.least_improved, 1)
        check_number("gate.group_least_frames", self.group_least_frames, 2)
        check_number("gate.frozen_margin", self.frozen_margin, 0, 1)
        check_number("gate.group_margin", self.group_margin, 0, 1)
        check_number("gate.false_alarm_target", self.false_alarm_target, 0, 1, low_excluded=True)
        check_number("gate.doubtful_alarms", self.doubtful_alarms, 0, 1)
        check_number("gate.latency_ratio", self.latency_ratio, 0, low_excluded=True)
        check_number("gate.type_weight", self.type_weight, 0, 1)
        check_number("gate.person_significance", self.person_significance, 0, 0.5, low_excluded=True)
        check_number("gate.person_error_rate", self.person_error_rate, 0, 1)
        check_number("gate.person_error_bound", self.person_error_bound, self.person_error_rate, 1)
        check_number("gate.unchecked_corrections", self.unchecked_corrections, 0)
        for person in self.trusted_persons:
            check_word("a name in gate.trusted_persons", person)


@dataclass(frozen=True, slots=True)
class GainFigure:
    """A gain in balanced error (positive: the candidate errs less) with its interval, -1..1.

    ``improved`` of the ``frames`` were judged better than by the current weights, ``worsened`` worse.
    """

    value: float
    low: float
    high: float
    frames: int
    improved: int
    worsened: int


@dataclass(frozen=True, slots=True)
class GroupFigure:
    """The normal or the anomalous frames of one camera, the frames of one type, or corrected ones not trained on.

    ``current_error`` and ``candidate_error`` are mean losses, 0..1. ``too_few``: fewer frames than the margin asks for.
    ``fell``: it counts against the candidate.
    """

    kind: GroupKind
    name: str
    anomalous: bool
    frames: int
    current_error: float
    candidate_error: float
    improved: int
    worsened: int
    too_few: bool
    fell: bool


@dataclass(frozen=True, slots=True)
class FalseAlarmFigure:
    """Alarms on the frozen set's normal frames; ``candidate_upper`` is the exact upper bound of the rate, 0..1."""

    normal_frames: int
    current: int
    candidate: int
    candidate_upper: float


@dataclass(frozen=True, slots=True)
class PersonFigure:
    """How one person's verdicts agree with what is known otherwise.

    ``checked`` verdicts are of frames whose truth is known or that others judged too; ``disagreed`` of them differ,
    which somebody who errs no more than ``person_error_rate`` would with a chance of ``chance``. ``error_upper``:
    upper bound of the person's error rate, 1 where nothing was checked. ``corrected`` frames, on which the service was
    wrong, hang on this person alone; the candidate contradicts ``contradicted`` of these. ``set_aside``: what this
    person says must not be trained on.
    ``gain_without`` and ``corrected_gain_without``: the gains on all and on corrected frames without these, None where
    there are none left.
    """

    person: str
    checked: int
    disagreed: int
    chance: float
    error_upper: float
    set_aside: bool
    corrected: int = 0
    contradicted: int = 0
    gain_without: GainFigure | None = None
    corrected_gain_without: GainFigure | None = None


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether a candidate may be published, every reason why not, and the numbers; what was not measured is None.

    ``remarks``: what could not be told, such as of a camera with too few frames. ``set_aside``: whose verdicts must not
    be trained on. The balanced errors are of all frames. ``doubtful``: of so many frozen normal frames the truth was in
    doubt; ``without_doubtful``: the figures are those without them. ``to_look_at``: frozen normal frames on which only
    the candidate alarms, by id, those in doubt first; a person can say what they show.
    """

    accepted: bool
    reasons: tuple[str, ...]
    current_version: str
    candidate_version: str
    limits: GateLimits
    seed: int
    remarks: tuple[str, ...] = ()
    current_error: float | None = None
    candidate_error: float | None = None
    gain: GainFigure | None = None
    frozen_gain: GainFigure | None = None
    corrected_gain: GainFigure | None = None
    groups: tuple[GroupFigure, ...] = ()
    false_alarms: FalseAlarmFigure | None = None
    latency_ratio: float | None = None
    persons: tuple[PersonFigure, ...] = ()
    set_aside: tuple[str, ...] = ()
    doubtful: int = 0
    without_doubtful: bool = False
    to_look_at: tuple[str, ...] = ()
    schema: str = GATE_SCHEMA
