"""Whose verdicts may be learnt from: each person's are held against known truth, other people's, and both weights.

Three looks, as one person may have judged what nobody else did:

- verdicts on frames that others judged too, or whose truth is known whatever people say (the trainer has none of those:
  what anybody spoke of is out of the frozen set): whoever differs more often than an honest person would (binomial
  test) is set aside, the worst first and each time without those before, so that nobody is blamed for differing from
  them;
- corrections that the candidate contradicts after training, more often than it contradicts other people's (Fisher's
  exact test): labels flipped at random cannot be learnt from few numbers, and stand out (the idea of confident
  learning, Northcutt, Jiang & Chuang 2021);
- a gain that is gone without one person's corrections (see ``pipeline.gate``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from inspector.domain.gate import GateLimits, PersonFigure
from inspector.pipeline.exact_tests import binomial_tail, fisher_tail, rate_upper_bound
from inspector.pipeline.gate_evidence import FrameEvidence, PersonVerdict

Truth = tuple[bool, str | None]
"""Whether a frame is anomalous, and of which type (casefolded), where that is known."""


def known_truth(frames: Sequence[FrameEvidence]) -> Mapping[str, Truth]:
    """Return what is true of the frames whose truth hangs on nobody and is not in doubt, by frame id."""
    return {f.frame_id: _truth(f.anomalous, f.defect_type) for f in frames if not f.corrected and not f.in_doubt}


def all_verdicts(frames: Sequence[FrameEvidence], verdicts: Sequence[PersonVerdict]) -> tuple[PersonVerdict, ...]:
    """Return the verdicts given, and those behind corrected frames; of one person's on one frame the former."""
    said = {
        (person, f.frame_id): PersonVerdict(person, f.frame_id, f.anomalous, f.defect_type)
        for f in frames
        if f.corrected
        for person in f.persons
    }
    return tuple((said | {(v.person, v.frame_id): v for v in verdicts}).values())


def judge_persons(
    verdicts: Sequence[PersonVerdict], truth: Mapping[str, Truth], limits: GateLimits
) -> tuple[PersonFigure, ...]:
    """Hold each person's verdicts against ``truth`` by frame id, and against those of others.

    A verdict on a frame of unknown truth is held against what most of the others say who are not set aside; where they
    are divided, it is not checked. Two people who differ beyond what is honest, where nothing else tells which
    of them is right, are both set aside. The chance is multiplied by the number of people (Bonferroni).

    Returns:
        One figure a person, by name, without what hangs on a candidate.
    """
    people = sorted({verdict.person for verdict in verdicts})
    named: dict[str, PersonFigure] = {}
    while True:
        figures = {p: _figure(p, verdicts, truth, named, len(people), limits) for p in people if p not in named}
        bad = [figure for figure in figures.values() if figure.chance <= limits.person_significance]
        if not bad:
            figures |= named
            return tuple(figures[person] for person in people)
        worst = min(figure.chance for figure in bad)
        named |= {figure.person: replace(figure, set_aside=True) for figure in bad if figure.chance == worst}


def with_contradictions(
    figures: Sequence[PersonFigure], frames: Sequence[FrameEvidence]
) -> tuple[tuple[PersonFigure, float], ...]:
    """Return each figure with how often the candidate contradicts this person, and the chance of so often.

    The chance is that of somebody whom it contradicts no more often than the others; it is multiplied by their number.
    Only corrections count: who says that the service was right asks for no change.
    """
    alone: dict[str, list[bool]] = defaultdict(list)
    for frame in frames:
        if frame.corrected and not frame.confirmed and len(frame.persons) == 1:
            alone[frame.persons[0]].append(contradicts(frame))
    everyone = [contradicted for each in alone.values() for contradicted in each]
    found = []
    for figure in figures:
        own = alone.get(figure.person, [])
        others = len(everyone) - len(own)
        tail = fisher_tail(sum(own), len(own), sum(everyone) - sum(own), others) if own and others else 1.0
        counted = replace(figure, corrected=len(own), contradicted=sum(own))
        found.append((counted, min(1.0, tail * len(alone))))
    return tuple(found)


def vouched_for(figure: PersonFigure, limits: GateLimits) -> bool:
    """Tell whether a gain may hang on a person: trusted, or checked often enough to rule out many errors."""
    trusted = {person.casefold() for person in limits.trusted_persons}
    return figure.person.casefold() in trusted or figure.error_upper < limits.person_error_bound


def contradicts(frame: FrameEvidence) -> bool:
    """Tell whether the candidate says of a frame, as a whole, the opposite of its truth."""
    return frame.candidate_alarm != frame.anomalous


def _figure(
    person: str,
    verdicts: Sequence[PersonVerdict],
    truth: Mapping[str, Truth],
    set_aside: Collection[str],
    people: int,
    limits: GateLimits,
) -> PersonFigure:
    others: dict[str, list[Truth]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.person != person and verdict.person not in set_aside:
            others[verdict.frame_id].append(_truth(verdict.anomalous, verdict.defect_type))
    checked = disagreed = 0
    for verdict in verdicts:
        if verdict.person != person:
            continue
        standard = truth.get(verdict.frame_id) or _majority(others[verdict.frame_id])
        if standard is not None:
            checked += 1
            disagreed += _differ(_truth(verdict.anomalous, verdict.defect_type), standard)
    chance = binomial_tail(disagreed, checked, limits.person_error_rate)
    return PersonFigure(
        person,
        checked,
        disagreed,
        min(1.0, chance * people),
        rate_upper_bound(disagreed, checked, limits.confidence),
        set_aside=False,
    )


def _truth(anomalous: bool, defect_type: str | None) -> Truth:
    return anomalous, defect_type.casefold() if anomalous and defect_type is not None else None


def _differ(one: Truth, other: Truth) -> bool:
    types_known = one[1] is not None and other[1] is not None
    return one[0] != other[0] or (types_known and one[1] != other[1])


def _majority(said: Sequence[Truth]) -> Truth | None:
    """Return what more than half say, or None where no such thing is said."""
    for candidate in said:
        if 2 * sum(not _differ(candidate, other) for other in said) > len(said):
            return candidate
    return None
