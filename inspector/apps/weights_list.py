"""``inspector weights list``: every published version, which serve, and what was found of the one on trial."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta

from inspector.adapters.kafka.weights_feed import PublishedWeights, read_weights
from inspector.apps import console, wiring
from inspector.apps.rollout_desk import RolloutDesk, desk
from inspector.domain.records import to_json
from inspector.domain.release import Rollout, RolloutStage
from inspector.pipeline.rollout import Watched, canaries, heeding, watched
from inspector.pipeline.rollout_advice import given_way, living
from inspector.pipeline.rollout_ports import Standing
from inspector.settings import Settings

_MOST_NAMED = 5


def show(settings: Settings, as_json: bool) -> None:
    """Print every published version, what it does, how it fares, and what was found of the one on trial.

    Raises:
        InspectorError: Kafka or Redis cannot be used.
    """
    found = read_weights(wiring.kafka_connection(settings), settings.kafka.weights_topic)
    at = desk(settings)
    vetoes = at.store.vetoes(list(found.releases))
    if as_json:
        console.print_json(_facts(at, found, vetoes))
        return
    if found.rollout is None:
        console.lines(["nothing was published: inspectors serve the weights of their settings"])
        return
    rollout = heeding(found.rollout, vetoes.keys())
    now = at.store.now()
    made = console.table("version", "role", "published", "ready on", "vetoed or refused")
    for version, release in found.releases.items():
        standings = living(at.store.standings(version), now)
        ready = [f"{replica}{_memory(each)}" for replica, each in standings.items() if each.refused is None]
        refused = [f"{replica}: {each.refused}" for replica, each in standings.items() if each.refused is not None]
        made.add_row(
            console.cell(version[:12]),
            console.cell(_role(rollout, version)),
            console.local_time(release.created_at),
            console.cell(", ".join(ready) or "-"),
            console.cell("; ".join([*([vetoes[version]] if version in vetoes else []), *refused]) or "-"),
        )
    console.print_table(made)
    console.lines(_lines(at, found, found.rollout, vetoes))


def _lines(at: RolloutDesk, found: PublishedWeights, standing: Rollout, vetoes: Mapping[str, str]) -> list[str]:
    rollout = heeding(standing, vetoes.keys())
    lines = [f"revision {standing.revision} by {standing.decided_by}: {standing.reason}"]
    if (why := given_way(standing, vetoes)) is not None:
        lines.append(f"inspectors have gone back by themselves, {why}; `inspector weights advance` writes it down")
    on_trial = _on_trial(at, rollout)
    if on_trial is None:
        return lines
    sums = at.store.found(on_trial)
    agreement = "-" if sums.agreement is None else f"{sums.agreement:.1%}"
    lines.append(
        f"on trial {on_trial.subject[:12]} against {on_trial.reference[:12]}: {sums.pairs} frames compared, agreement "
        f"{agreement}, alarms of it alone {sums.alarms_subject_only}, of the other alone "
        f"{sums.alarms_reference_only}; {sums.served} served, {sums.failures} failed; {sums.incomparable} scored in "
        f"two ways, which says nothing"
    )
    if rollout.stage is RolloutStage.CANARY:
        lines.append(canaries_in_words(at, rollout))
    lines += [f"it cannot go on: {each}" for each in at.hindrances(found, rollout)]
    return lines


def canaries_in_words(at: RolloutDesk, rollout: Rollout) -> str:
    """Return which cameras the candidate serves."""
    sending = at.sending()
    chosen = sorted(canaries(rollout.canary_share, sending))
    named = ", ".join(chosen[:_MOST_NAMED]) + (" ..." if len(chosen) > _MOST_NAMED else "")
    return f"canaries: {len(chosen)} of the {len(sending)} cameras that send{': ' if chosen else ''}{named}"


def _on_trial(at: RolloutDesk, rollout: Rollout) -> Watched | None:
    return watched(rollout, at.store.now(), timedelta(hours=at.settings.rollout.watch_hours))


def _facts(at: RolloutDesk, found: PublishedWeights, vetoes: Mapping[str, str]) -> dict[str, object]:
    standing = found.rollout
    compared: dict[str, object] = {}
    hindrances: tuple[str, ...] = ()
    if standing is not None:
        rollout = heeding(standing, vetoes.keys())
        on_trial = _on_trial(at, rollout)
        compared = {} if on_trial is None else {on_trial.subject: _plain(at.store.found(on_trial))}
        hindrances = at.hindrances(found, rollout)
    now = at.store.now()
    return {
        "rollout": None if standing is None else _plain(standing),
        "serves": None if standing is None else heeding(standing, vetoes.keys()).stable_version,
        "releases": [_plain(release) for release in found.releases.values()],
        "vetoes": dict(vetoes),
        "standings": {
            version: {
                replica: _plain(standing) for replica, standing in living(at.store.standings(version), now).items()
            }
            for version in found.releases
        },
        "found": compared,
        "hindrances": list(hindrances),
    }


def _plain(record: object) -> object:
    return json.loads(to_json(record))


def _memory(standing: Standing) -> str:
    """Return what a version takes beside the first one, where it was measured."""
    return f" ({standing.memory_bytes / 2**20:.0f} MiB)" if standing.memory_bytes else ""


def _role(rollout: Rollout, version: str) -> str:
    if version == rollout.stable_version:
        return "serves, pinned" if rollout.pinned else "serves"
    if version == rollout.candidate_version:
        return f"candidate, {rollout.stage.value}"
    return "before" if version == rollout.previous_version else "-"
