"""``inspector weights list, promote, rollback, pin, unpin, advance``: which published weights serve the line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from inspector.adapters.kafka.feedback_log import read_book
from inspector.adapters.kafka.weights_feed import PublishedWeights, change_rollout, read_weights
from inspector.apps import console, wiring
from inspector.apps.rollout_wiring import guard_limits
from inspector.domain.errors import BadInputError
from inspector.domain.records import to_json
from inspector.domain.release import Rollout, RolloutStage
from inspector.pipeline.comparison import Comparison
from inspector.pipeline.rollout import (
    Decision,
    heeding,
    offered,
    pinned_to,
    promoted,
    rolled_back,
    unpinned,
    wanted_versions,
    watched,
)
from inspector.pipeline.rollout_advice import Advice, Evidence, Move, Needed, advise, wrong_by_version
from inspector.pipeline.rollout_ports import Standing
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.adapters.redis.rollout_store import RedisRolloutStore


@dataclass(frozen=True, slots=True)
class Request:
    """Who changes the rollout and why; ``force`` goes over vetoes and refusals, and lifts them."""

    by: str | None = None
    reason: str = ""
    force: bool = False
    as_json: bool = False


def promote(
    settings: Settings, version: str | None, to: RolloutStage | None, share: float | None, request: Request
) -> None:
    """Take the candidate a stage on, or offer a version; ``to`` a stage at once.

    Raises:
        BadInputError: no such version, none on trial, pinned, or something speaks against it and ``force`` is not set.
        InspectorError: Kafka or Redis cannot be used.
    """
    store = wiring.rollout_store(settings)
    decision = _decision(settings, request, "promoted by hand")
    share = settings.rollout.canary_share if share is None else share

    def change(found: PublishedWeights) -> Rollout:
        rollout = _rollout(found)
        wanted = rollout.candidate_version if version is None else _known(found, version)
        if wanted is None:
            raise BadInputError("a candidate on trial", "none", "name a version: inspector weights promote VERSION")
        _refuse_spoken_against(store, wanted, request.force)
        if wanted != rollout.candidate_version:
            offer = offered(rollout, wanted, decision)
            return offer if to in (None, RolloutStage.SHADOW) else promoted(offer, to, share, decision)
        return promoted(rollout, to or _after(rollout.stage), share, decision)

    _change(settings, change, request.as_json)


def rollback(settings: Settings, version: str | None, request: Request) -> None:
    """Take the candidate off, or go back to the version before or to a named one. Raises as ``promote``."""
    decision = _decision(settings, request, "rolled back by hand")

    def change(found: PublishedWeights) -> Rollout:
        return rolled_back(_rollout(found), None if version is None else _known(found, version), decision)

    _change(settings, change, request.as_json)


def pin(settings: Settings, version: str | None, request: Request) -> None:
    """Let one version serve all cameras until a person says otherwise; None: the stable one. Raises as ``promote``."""
    store = wiring.rollout_store(settings)
    decision = _decision(settings, request, "pinned by hand")

    def change(found: PublishedWeights) -> Rollout:
        rollout = _rollout(found)
        wanted = rollout.stable_version if version is None else _known(found, version)
        _refuse_spoken_against(store, wanted, request.force)
        return pinned_to(rollout, wanted, decision)

    _change(settings, change, request.as_json)


def unpin(settings: Settings, request: Request) -> None:
    """Let rollouts go on from the pinned version. Raises as ``promote``."""
    decision = _decision(settings, request, "unpinned by hand")
    _change(settings, lambda found: unpinned(_rollout(found), decision), request.as_json)


def advance(settings: Settings, by: str | None = None) -> Advice:
    """Do with the rollout what inspectors' figures and people's word say, and return what that was.

    Safe to repeat, from a timer or from the trainer: it promotes where enough was compared and nothing speaks against,
    writes down where inspectors went back, and waits otherwise.

    Raises:
        InspectorError: Kafka or Redis cannot be used.
    """
    connection, topic = wiring.kafka_connection(settings), settings.kafka.weights_topic
    rollout = read_weights(connection, topic).rollout
    if rollout is None:
        return Advice(Move.WAIT, "nothing was published")
    now, watch = datetime.now(UTC), timedelta(hours=settings.rollout.watch_hours)
    on_trial = watched(rollout, now, watch)
    if on_trial is None:
        return advise(rollout, None, Evidence({}, {}, Comparison(), {}), guard_limits(settings), Needed())
    store = wiring.rollout_store(settings)
    seen = Evidence(
        store.vetoes([on_trial.subject]),
        store.standings(on_trial.subject),
        store.found(on_trial.subject),
        _wrong(settings),
    )
    needed = Needed(settings.rollout.shadow_frames, settings.rollout.canary_frames)
    advice = advise(rollout, on_trial, seen, guard_limits(settings), needed)
    if advice.move is Move.WAIT:
        return advice
    if advice.move is Move.ROLL_BACK:
        # First the veto, which every inspector heeds whatever becomes of the topic.
        store.veto(on_trial.subject, advice.reason, settings.replica)
    decision = Decision(by or settings.replica, advice.reason, now)

    def change(found: PublishedWeights) -> Rollout:
        if found.rollout is None or found.rollout.revision != rollout.revision:
            raise BadInputError("the rollout as it was looked at", "a newer one", "look again")
        if advice.move is Move.ROLL_BACK:
            return rolled_back(rollout, None, decision)
        return promoted(rollout, _after(rollout.stage), settings.rollout.canary_share, decision)

    change_rollout(connection, topic, change)
    return advice


def show(settings: Settings, as_json: bool) -> None:
    """Print every published version, what it does, how it fares, and what was found of the one on trial.

    Raises:
        InspectorError: Kafka or Redis cannot be used.
    """
    found = read_weights(wiring.kafka_connection(settings), settings.kafka.weights_topic)
    store = wiring.rollout_store(settings)
    vetoes = store.vetoes(list(found.releases))
    if as_json:
        console.print_json(_facts(found, store, vetoes))
        return
    if found.rollout is None:
        console.lines(["nothing was published: inspectors serve the weights of their settings"])
        return
    made = console.table("version", "role", "published", "ready on", "vetoed or refused")
    for version, release in found.releases.items():
        standings = store.standings(version)
        ready = [f"{replica}{_memory(each)}" for replica, each in standings.items() if each.refused is None]
        refused = [f"{replica}: {each.refused}" for replica, each in standings.items() if each.refused is not None]
        made.add_row(
            console.cell(version[:12]),
            console.cell(_role(found.rollout, version)),
            console.local_time(release.created_at),
            console.cell(", ".join(ready) or "-"),
            console.cell("; ".join([*([vetoes[version]] if version in vetoes else []), *refused]) or "-"),
        )
    console.print_table(made)
    console.lines(_lines(found.rollout, store, vetoes, settings))


def _lines(rollout: Rollout, store: RedisRolloutStore, vetoes: Mapping[str, str], settings: Settings) -> list[str]:
    lines = [f"revision {rollout.revision} by {rollout.decided_by}: {rollout.reason}"]
    on_trial = watched(heeding(rollout, vetoes), datetime.now(UTC), timedelta(hours=settings.rollout.watch_hours))
    if on_trial is None:
        return lines
    found = store.found(on_trial.subject)
    agreement = "-" if found.agreement is None else f"{found.agreement:.1%}"
    lines.append(
        f"on trial {on_trial.subject[:12]} against {on_trial.reference[:12]}: {found.pairs} frames compared, agreement "
        f"{agreement}, alarms of it alone {found.alarms_subject_only}, of the other alone "
        f"{found.alarms_reference_only}; {found.served} served, {found.failures} failed"
    )
    if rollout.stage is RolloutStage.CANARY:
        lines.append(f"canaries: {rollout.canary_share:.0%} of the cameras")
    return lines


def _facts(found: PublishedWeights, store: RedisRolloutStore, vetoes: Mapping[str, str]) -> dict[str, object]:
    rollout = found.rollout
    compared = {} if rollout is None else {v: _plain(store.found(v)) for v in wanted_versions(rollout)}
    return {
        "rollout": None if rollout is None else _plain(rollout),
        "releases": [_plain(release) for release in found.releases.values()],
        "vetoes": dict(vetoes),
        "standings": {
            version: {replica: _plain(standing) for replica, standing in store.standings(version).items()}
            for version in found.releases
        },
        "found": compared,
    }


def _plain(record: object) -> object:
    return json.loads(to_json(record))


def _change(settings: Settings, change: Callable[[PublishedWeights], Rollout], as_json: bool) -> None:
    rollout = change_rollout(wiring.kafka_connection(settings), settings.kafka.weights_topic, change)
    if as_json:
        console.print_record(rollout)
        return
    pinned = ", pinned" if rollout.pinned else ""
    lines = [f"revision {rollout.revision}: {rollout.stable_version[:12]} serves{pinned}"]
    if rollout.candidate_version is not None:
        share = f" on {rollout.canary_share:.0%} of the cameras" if rollout.stage is RolloutStage.CANARY else ""
        lines.append(f"on trial: {rollout.candidate_version[:12]}, {rollout.stage.value}{share}")
    console.lines(lines)


def _rollout(found: PublishedWeights) -> Rollout:
    if found.rollout is None:
        raise BadInputError("published weights", "none", "`inspector weights publish FILE` first")
    return found.rollout


def _known(found: PublishedWeights, version: str) -> str:
    """Return the one published version that begins like this."""
    matching = [known for known in found.releases if known.startswith(version)] if version else []
    if len(matching) != 1:
        known = ", ".join(each[:12] for each in found.releases) or "none"
        raise BadInputError(f"one published version, of {known}", repr(version[:80]), "see `inspector weights list`")
    return matching[0]


def _refuse_spoken_against(store: RedisRolloutStore, version: str, force: bool) -> None:
    if force:
        store.lift(version)
        return
    against = [f"vetoed: {why}" for why in store.vetoes([version]).values()]
    against += [
        f"refused by {replica}: {each.refused}" for replica, each in store.standings(version).items() if each.refused
    ]
    if against:
        raise BadInputError("weights that nothing speaks against", "; ".join(against), "add --force to lift it")


def _after(stage: RolloutStage) -> RolloutStage:
    return RolloutStage.CANARY if stage is RolloutStage.SHADOW else RolloutStage.FULL


def _memory(standing: Standing) -> str:
    """Return what a version takes beside the first one, where it was measured."""
    return f" ({standing.memory_bytes / 2**20:.0f} MiB)" if standing.memory_bytes else ""


def _role(rollout: Rollout, version: str) -> str:
    if version == rollout.stable_version:
        return "serves, pinned" if rollout.pinned else "serves"
    if version == rollout.candidate_version:
        return f"candidate, {rollout.stage.value}"
    return "before" if version == rollout.previous_version else "-"


def _decision(settings: Settings, request: Request, reason: str) -> Decision:
    return Decision(request.by or settings.replica, request.reason or reason, datetime.now(UTC))


def _wrong(settings: Settings) -> Mapping[str, tuple[int, int]]:
    try:
        book = read_book(wiring.kafka_connection(settings), settings.kafka.feedback_topic)
    except BadInputError:
        return {}  # no topic of feedback: nobody said anything
    return wrong_by_version(book.settled().values())
