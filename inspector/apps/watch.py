"""``inspector watch``: what no single process of a line can tell, as metrics, until SIGTERM. It changes nothing.

Lag of every partition, the newest result of every camera and what the trainer last did are looked at often; whether
outcomes fit (reconcile) and cameras have drifted takes longer, and is looked at on a thread of its own. A look that
fails is told and tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from inspector.apps import console, drift, reconcile, wiring
from inspector.apps.kept_runs import kept_runs
from inspector.apps.process_telemetry import telling
from inspector.apps.reconcile_walk import Scope
from inspector.apps.stopping import stop_event
from inspector.apps.trainer.telemetry import tell_run
from inspector.apps.watch_rounds import Heartbeat, Round
from inspector.domain.drift import DriftVerdict
from inspector.domain.errors import BadInputError
from inspector.domain.metrics import OTHER, Part
from inspector.pipeline.reconciliation import FindingKind
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.adapters.telemetry.instruments import Instruments

_LAG = "inspector_group_lag_frames"
_NEWEST = "inspector_camera_newest_result_timestamp_seconds"
_LOOK_AGAIN_S = 1.0
_CERTAIN = (DriftVerdict.DRIFTED, DriftVerdict.STABLE)
_LAST_RUNS = 20  # among which to find the last of each outcome


def run(settings: Settings) -> None:
    """Look, and answer scrapes and probes, until told to stop.

    Raises:
        BadInputError: ``metrics.port`` is not set, or cannot be taken.
        CredentialsError: Kafka or Redis refuses us.
    """
    if settings.metrics.port is None:
        raise BadInputError(
            "metrics.port, where the watch answers", "none", "set it, for one by INSPECTOR_METRICS__PORT=9464"
        )
    watch, beating = settings.watch, Heartbeat(settings.metrics.stuck_after_s)
    quick = quick_rounds(watch.look_every_s)
    slow = (Round(watch.reconcile_every_s, OutcomeLooks().look_at_outcomes), Round(watch.drift_every_s, look_at_drift))
    with stop_event() as stop, telling(settings, Part.WATCH, health=beating.health) as made:
        if made is None:
            return
        failed: list[Exception] = []

        def keep_looking(rounds: Sequence[Round], beat: Callable[[bool], None]) -> None:
            try:
                while not stop.is_set():
                    for each in rounds:
                        each(settings, made)
                    beat(all(each.was_well for each in rounds))
                    stop.wait(_LOOK_AGAIN_S)
            except Exception as error:
                failed.append(error)
                stop.set()

        # A reconcile in hand may take minutes: it changes nothing, so the process ends without it.
        threading.Thread(target=keep_looking, args=(slow, lambda _: None), name="slow-looks", daemon=True).start()
        console.remark("watching")
        keep_looking(quick, beating.beat)
        if failed:
            raise failed[0]


def quick_rounds(every_s: float) -> tuple[Round, ...]:
    """Return the looks that take no time, each of Kafka or of Redis alone, so that one away does not hide the other."""
    return (
        Round(every_s, look_at_lag, shows=(_LAG,)),
        Round(every_s, look_at_cameras, shows=(_NEWEST,)),
        Round(every_s, look_at_trainer),
    )


def look_at_lag(settings: Settings, made: Instruments) -> None:
    """Show the lag of every partition.

    Raises:
        InspectorError: Kafka is away or refuses us.
    """
    from inspector.adapters.kafka.lag import group_lag

    kafka, lag = settings.kafka, made.gauge(_LAG)
    for (_, partition), frames in group_lag(wiring.kafka_connection(settings), kafka.group, kafka.frames_topic).items():
        lag.labels(str(partition)).set(frames)


def look_at_cameras(settings: Settings, made: Instruments) -> None:
    """Show when each camera's newest kept result was stored.

    Raises:
        InspectorError: Redis is away or refuses us.
    """
    from inspector.adapters.telemetry.instruments import BoundedNames

    named = BoundedNames(settings.metrics.max_cameras, settings.cameras.by_id())
    newest, found = made.gauge(_NEWEST), wiring.results(settings).cameras()
    newest.clear()  # of cameras whose results are gone
    for camera_id, stored_at in found.items():
        if (label := named(camera_id)) != OTHER:
            newest.labels(label).set(stored_at.timestamp())


def look_at_trainer(settings: Settings, made: Instruments) -> None:
    """Show what a trainer last did, by its records: one that a CronJob starts has ended before anybody asks it.

    Raises:
        InspectorError: Redis is away or refuses us.
    """
    from inspector.adapters.redis.artefacts import RedisArtefactStore
    from inspector.adapters.redis.trainer_runs import RedisTrainerRuns

    with closing(wiring.redis_client(settings)) as client:
        runs = RedisTrainerRuns(client)
        ended = kept_runs(runs.last(_LAST_RUNS), RedisArtefactStore(client))
        looked_at = runs.last_look()
    for run in reversed(ended):  # the latest of an outcome stays
        tell_run(made, run)
    if looked_at is not None:
        made.gauge("inspector_trainer_last_look_timestamp_seconds").set(looked_at.timestamp())


class OutcomeLooks:
    """Reconciles, one look after the other, so that what was found stays told until it is mended or gone from Kafka.

    Each looks at frames published in the last hours; at what was committed since the look before it, however old (a
    night's backlog); and again at what that one found. The first knows of no look before it.
    """

    def __init__(self) -> None:
        self._before: Scope | None = None  # the next look's, as far as the last one knew it

    def look_at_outcomes(self, settings: Settings, made: Instruments) -> None:
        """Show what does not fit.

        Raises:
            InspectorError: as ``reconcile.look``; the next look takes over what this one had to do.
        """
        now = datetime.now(UTC)
        since = now - timedelta(hours=settings.watch.reconcile_hours)
        scope = Scope(now, since)
        if (before := self._before) is not None:
            scope = replace(before, now=now, since=min(since, before.now))
        report = reconcile.look(settings, scope, repair=False)
        self._before = Scope(now, after=report.ends, again=tuple(report.open))
        findings = made.gauge("inspector_reconcile_findings")
        for kind in FindingKind:
            findings.labels(kind.value).set(report.found[kind.value])
        made.gauge("inspector_reconcile_frames").set(report.frames)
        made.set_now("inspector_reconcile_timestamp_seconds")


def look_at_drift(settings: Settings, made: Instruments) -> None:
    """Show which cameras have drifted. Raises as ``drift.look``."""
    from inspector.adapters.telemetry.instruments import BoundedNames

    named = BoundedNames(settings.metrics.max_cameras, settings.cameras.by_id())
    shown = made.gauge("inspector_camera_drift")
    drifts = drift.look(settings)
    shown.clear()
    for each in drifts:
        label = named(each.camera_id)
        if label != OTHER and any(check.verdict in _CERTAIN for check in each.checks):
            shown.labels(label).set(each.drifted)
    made.set_now("inspector_drift_timestamp_seconds")
