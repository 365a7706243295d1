"""``inspector weights promote, rollback, pin, unpin, advance``: which published weights serve the line.

Every change begins from what inspectors serve, which is what stands on the topic less what was vetoed, and is dated by
the clock of Redis, which all who read it share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from inspector.adapters.kafka.feedback_log import read_book
from inspector.adapters.kafka.weights_feed import PublishedWeights, change_rollout, read_weights
from inspector.apps import console, wiring
from inspector.apps.rollout_desk import RolloutDesk, desk
from inspector.apps.rollout_wiring import guard_limits
from inspector.apps.weights_list import canaries_in_words
from inspector.domain.errors import BadInputError
from inspector.domain.release import Rollout, RolloutStage
from inspector.pipeline.comparison import Comparison
from inspector.pipeline.rollout import (
    Decision,
    confirmed,
    heeding,
    offered,
    pinned_to,
    promoted,
    rolled_back,
    serves_otherwise,
    share_with_a_canary,
    unpinned,
    watched,
)
from inspector.pipeline.rollout_advice import (
    Advice,
    Evidence,
    Move,
    Needed,
    advise,
    given_way,
    living,
    wrong_by_version,
)
from inspector.settings import Settings


@dataclass(frozen=True, slots=True)
class Request:
    """Who changes the rollout and why; ``force`` goes over vetoes, refusals and missing banks, and lifts vetoes."""

    by: str | None = None
    reason: str = ""
    force: bool = False
    as_json: bool = False


def promote(
    settings: Settings, version: str | None, to: RolloutStage | None, share: float | None, request: Request
) -> None:
    """Take the candidate a stage on, or offer a version; ``to`` a stage at once.

    A version that was vetoed, and is forced, begins anew: what was found of it before counts no more.

    Raises:
        BadInputError: no such version, none on trial, pinned, something speaks against it, or cameras would lose their
            banks or thresholds, and ``force`` is not set.
        InspectorError: Kafka or Redis cannot be used.
    """
    at = desk(settings)
    decision = _decision(at, request, "promoted by hand")
    share = settings.rollout.canary_share if share is None else share
    chosen: list[str] = []

    def change(found: PublishedWeights) -> Rollout:
        rollout = at.heeded(found)
        wanted = at.standing(found).candidate_version if version is None else _known(found, version)
        if wanted is None:
            raise BadInputError("a candidate on trial", "none", "name a version: inspector weights promote VERSION")
        vetoes = at.store.vetoes([wanted])
        if not request.force:
            at.refuse_spoken_against(wanted, vetoes)
        chosen[:] = [wanted]
        if vetoes and wanted == rollout.stable_version:
            return confirmed(rollout, decision)  # there was no other to give way to
        is_new = wanted != rollout.candidate_version
        next_stage = to or (RolloutStage.SHADOW if is_new else _after(rollout.stage))
        after = offered(rollout, wanted, decision) if is_new else rollout
        if next_stage is RolloutStage.SHADOW and is_new:
            return after
        if not request.force:
            at.refuse_lacking(found, rollout.stable_version, wanted)
        return promoted(after, next_stage, share_with_a_canary(share, at.sending()), decision)

    _change(at, change, request.as_json, lambda: _lift(at, request, chosen))


def rollback(settings: Settings, version: str | None, request: Request) -> None:
    """Take the candidate off, or go back to the version before or to a named one. Raises as ``promote``.

    What is taken off is vetoed too. So it is off in every inspector at once, whatever becomes of the record, also where
    somebody else writes one at the same time; ``promote VERSION --force`` brings it back.
    """
    at = desk(settings)
    decision = _decision(at, request, "rolled back by hand")

    def change(found: PublishedWeights) -> Rollout:
        standing, rollout = at.standing(found), at.heeded(found)
        to = None if version is None else _known(found, version)
        if to is not None and (veto := at.store.vetoes([to]).get(to)) is not None:
            raise BadInputError(
                "a version that was not vetoed",
                f"{to[:12]}: {veto}",
                f"`inspector weights promote {to[:12]} --to full --force`, if it has to serve all the same",
            )
        if to is None and serves_otherwise(standing, rollout):
            return confirmed(rollout, decision)  # inspectors have gone back already
        back = rolled_back(_usable(at, rollout), to, decision)
        for gone in (standing.stable_version, standing.candidate_version):
            if gone not in (None, back.stable_version):
                at.store.veto(gone, f"rolled back by {decision.by}: {decision.reason}", settings.replica)
        return back

    _change(at, change, request.as_json)


def pin(settings: Settings, version: str | None, request: Request) -> None:
    """Let one version serve all cameras until a person says otherwise; None: the stable one. Raises as ``promote``."""
    at = desk(settings)
    decision = _decision(at, request, "pinned by hand")
    chosen: list[str] = []

    def change(found: PublishedWeights) -> Rollout:
        rollout = at.heeded(found)
        wanted = rollout.stable_version if version is None else _known(found, version)
        if not request.force:
            at.refuse_spoken_against(wanted, at.store.vetoes([wanted]))
            at.refuse_lacking(found, rollout.stable_version, wanted)
        chosen[:] = [wanted]
        return pinned_to(rollout, wanted, decision)

    _change(at, change, request.as_json, lambda: _lift(at, request, chosen))


def unpin(settings: Settings, request: Request) -> None:
    """Let rollouts go on from the pinned version. Raises as ``promote``."""
    at = desk(settings)
    decision = _decision(at, request, "unpinned by hand")
    _change(at, lambda found: unpinned(at.heeded(found), decision), request.as_json)


def advance(settings: Settings, by: str | None = None) -> Advice:
    """Do with the rollout what inspectors' figures and people's word say, and return what that was.

    Safe to repeat, from a timer or from the trainer: it promotes where enough was compared and nothing speaks against,
    writes down where inspectors went back, and waits otherwise.

    Raises:
        InspectorError: Kafka or Redis cannot be used.
    """
    connection, topic = wiring.kafka_connection(settings), settings.kafka.weights_topic
    found = read_weights(connection, topic)
    standing = found.rollout
    if standing is None:
        return Advice(Move.WAIT, "nothing was published")
    at = desk(settings)
    vetoes = at.store.vetoes(standing.versions)
    rollout = heeding(standing, vetoes.keys())
    gone_back = given_way(standing, vetoes)
    advice = _advice(at, found, rollout) if gone_back is None else Advice(Move.ROLL_BACK, gone_back)
    if advice.move is Move.WAIT:
        return advice
    decision = Decision(by or settings.replica, advice.reason, at.store.now())
    if gone_back is not None:
        after = confirmed(rollout, decision)
    elif advice.move is Move.ROLL_BACK:
        # First the veto, which every inspector heeds whatever becomes of the topic.
        at.store.veto(rollout.candidate_version or rollout.stable_version, advice.reason, settings.replica)
        after = rolled_back(rollout, None, decision)
    else:
        share = share_with_a_canary(settings.rollout.canary_share, at.sending())
        after = promoted(rollout, _after(rollout.stage), share, decision)

    def change(now: PublishedWeights) -> Rollout:
        if now.rollout is None or now.rollout.revision != standing.revision:
            raise BadInputError("the rollout as it was looked at", "a newer one", "look again")
        return after

    change_rollout(connection, topic, change)
    return advice


def _advice(at: RolloutDesk, found: PublishedWeights, rollout: Rollout) -> Advice:
    """Return what is to be done with a rollout that inspectors serve as it says."""
    settings, now = at.settings, at.store.now()
    limits, needed = guard_limits(settings), Needed(settings.rollout.shadow_frames, settings.rollout.canary_frames)
    on_trial = watched(rollout, now, timedelta(hours=settings.rollout.watch_hours))
    if on_trial is None:
        return advise(rollout, None, Evidence({}, Comparison(), {}), limits, needed)
    seen = Evidence(
        living(at.store.standings(on_trial.subject), now, on_trial.since),
        at.store.found(on_trial),
        _wrong(settings),
        at.hindrances(found, rollout),
    )
    return advise(rollout, on_trial, seen, limits, needed)


def _change(
    at: RolloutDesk,
    change: Callable[[PublishedWeights], Rollout],
    as_json: bool,
    afterwards: Callable[[], None] = lambda: None,
) -> None:
    settings = at.settings
    rollout = change_rollout(wiring.kafka_connection(settings), settings.kafka.weights_topic, change)
    afterwards()
    if as_json:
        console.print_record(rollout)
        return
    pinned = ", pinned" if rollout.pinned else ""
    lines = [f"revision {rollout.revision}: {rollout.stable_version[:12]} serves{pinned}"]
    if rollout.candidate_version is not None:
        lines.append(f"on trial: {rollout.candidate_version[:12]}, {rollout.stage.value}")
    if rollout.stage is RolloutStage.CANARY:
        lines.append(canaries_in_words(at, rollout))
    console.lines(lines)


def _lift(at: RolloutDesk, request: Request, versions: list[str]) -> None:
    """Lift what speaks against weights, when what a person wants of them stands: a change may be refused until then."""
    if request.force:
        for version in versions:
            at.store.lift(version)


def _usable(at: RolloutDesk, rollout: Rollout) -> Rollout:
    """Return a rollout without a version before that was vetoed: a pin keeps one, and takes no notice of vetoes."""
    previous = rollout.previous_version
    vetoed = previous is not None and previous in at.store.vetoes([previous])
    return replace(rollout, previous_version=None) if vetoed else rollout


def _known(found: PublishedWeights, version: str) -> str:
    """Return the one published version that begins like this."""
    matching = [known for known in found.releases if known.startswith(version)] if version else []
    if len(matching) != 1:
        known = ", ".join(each[:12] for each in found.releases) or "none"
        raise BadInputError(f"one published version, of {known}", repr(version[:80]), "see `inspector weights list`")
    return matching[0]


def _after(stage: RolloutStage) -> RolloutStage:
    return RolloutStage.CANARY if stage is RolloutStage.SHADOW else RolloutStage.FULL


def _decision(at: RolloutDesk, request: Request, reason: str) -> Decision:
    return Decision(request.by or at.settings.replica, request.reason or reason, at.store.now())


def _wrong(settings: Settings) -> Mapping[str, tuple[int, int]]:
    try:
        book = read_book(wiring.kafka_connection(settings), settings.kafka.feedback_topic)
    except BadInputError:
        return {}  # no topic of feedback: nobody said anything
    return wrong_by_version(book.settled().values())
