"""A watch that cannot look says so: by what it no longer tells, by a count, and by its probes."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inspector.adapters.kafka import lag
from inspector.adapters.telemetry.instruments import Instruments
from inspector.apps import reconcile, watch
from inspector.apps.reconcile import Report
from inspector.apps.reconcile_walk import Scope
from inspector.apps.watch_rounds import Heartbeat, Round
from inspector.domain.errors import CredentialsError, ServiceUnavailableError
from inspector.domain.metrics import Part, metrics_of
from inspector.settings import Settings

LAG = "inspector_group_lag_frames"
NEWEST = "inspector_camera_newest_result_timestamp_seconds"
FAILURES = "inspector_watch_failures_total"
AWAY = ServiceUnavailableError("Kafka", "nobody", "wait")


def told(made: Instruments) -> dict[str, float]:
    families = text_string_to_metric_families(made.text().decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def away(*_: object) -> dict[tuple[str, int], int]:
    raise AWAY


def test_what_could_not_be_looked_at_is_absent_and_not_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lag that stays 0 because nobody can ask Kafka would go before the 90,000 that inspectors see."""
    made = Instruments(metrics_of(Part.WATCH), with_process=False)
    settings = Settings.model_validate({"redis": {"url": "redis://127.0.0.1:1/0"}})
    monkeypatch.setattr(lag, "group_lag", lambda *_: {("frames", 0): 7})
    made.gauge(NEWEST).labels("cam0").set(5.0)

    look_at_lag, look_at_cameras, look_at_trainer = watch.quick_rounds(every_s=0)
    for each in (look_at_lag, look_at_cameras, look_at_trainer):
        each(settings, made)
    assert told(made)[LAG] == 7, "Kafka is there, and Redis being away takes nothing from it"
    assert NEWEST not in told(made)
    assert told(made)[FAILURES] == 2

    monkeypatch.setattr(lag, "group_lag", away)
    look_at_lag(settings, made)
    assert LAG not in told(made)
    assert told(made)[FAILURES] == 3
    monkeypatch.setattr(lag, "group_lag", lambda *_: {("frames", 0): 8})
    look_at_lag(settings, made)
    assert told(made)[LAG] == 8


def test_a_watch_is_ready_only_when_it_has_seen_all_of_it_once() -> None:
    made = Instruments(metrics_of(Part.WATCH), with_process=False)
    answers: list[Exception | None] = [AWAY, None, AWAY]

    def look(settings: Settings, made: Instruments) -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer

    each, beating, ready = Round(0, look), Heartbeat(stuck_after_s=60), []
    while answers:
        each(Settings(), made)
        beating.beat(each.was_well)
        assert beating.health().live
        ready.append(beating.health().ready)
    assert ready == [False, True, True]


def test_a_reconcile_that_failed_leaves_its_part_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Instruments(metrics_of(Part.WATCH), with_process=False)
    asked: list[Scope] = []
    answers: list[Report | None] = [Report(1, ends={0: 5}), None, Report(1, ends={0: 9}), Report(1, ends={0: 9})]

    def look(_settings: Settings, scope: Scope, repair: bool) -> Report:
        assert not repair
        asked.append(scope)
        if (answer := answers.pop(0)) is None:
            raise AWAY
        return answer

    monkeypatch.setattr(reconcile, "look", look)
    each = Round(0, watch.OutcomeLooks().look_at_outcomes)
    while answers:
        each(Settings.model_validate({"watch": {"reconcile_hours": 1e-9}}), made)
    assert [scope.after for scope in asked] == [None, {0: 5}, {0: 5}, {0: 9}]
    first, second, third, fourth = (scope.since for scope in asked)
    assert first is not None
    assert second == third == asked[0].now, "outcomes written since the last look that was whole are looked for"
    assert fourth == asked[2].now


def test_a_refused_password_ends_the_watch() -> None:
    def look(settings: Settings, made: Instruments) -> None:
        raise CredentialsError("a password", "another", "correct it")

    with pytest.raises(CredentialsError):
        Round(0, look)(Settings(), Instruments(metrics_of(Part.WATCH), with_process=False))
