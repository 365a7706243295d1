"""The weights view: which weights judge, how they do, and what the trainer makes."""

from __future__ import annotations

from observability.grafana import BLUE, GREEN, ORANGE, RED, Dashboard, Panel, Query, Row, Step, number
from observability.promql import quantile, share

_SERVING = 'inspector_weights_info{role="serving"}'
_INSPECTED = 'inspector_frames_total{outcome="inspected"}'
_SCORE = "inspector_anomaly_score"
_ANOMALOUS = 'inspector_frames_total{reason="anomalous"}'

_NOW = Row(
    "Now",
    (
        number(
            "Versions that serve",
            "1, but for moments in a rollout. Two for longer: an inspector refused the new weights, or cannot "
            "hold them.",
            f"count(count by (weights_version) ({_SERVING}))",
            "short",
            width=6,
            steps=(Step(2, RED),),
        ),
        number(
            "Refused versions",
            "Published versions that inspectors refused in the last day: damaged, of another shape, failing the "
            "golden batch.",
            "sum(increase(inspector_weights_refused_total[1d]))",
            "short",
            width=6,
            steps=(Step(1, RED),),
        ),
        number(
            "Vetoed versions",
            "Versions on trial that inspectors vetoed in the last day, because they alarm too much, too little, or "
            "too slowly.",
            "sum(increase(inspector_weights_vetoes_total[1d]))",
            "short",
            width=6,
            steps=(Step(1, ORANGE),),
        ),
        number(
            "Cameras that drifted",
            "Cameras whose scores or pictures are not what they were: the weights may no longer fit.",
            "sum(max by (camera_id) (inspector_camera_drift)) or vector(0)",
            "short",
            width=6,
            steps=(Step(1, ORANGE),),
        ),
    ),
)

_ROLLOUT = Row(
    "Rollout",
    (
        Panel(
            "Inspectors by version",
            "How many inspectors serve a version, and how many hold one on trial beside it.",
            (Query("count by (role, weights_version) (inspector_weights_info)", "{{role}} {{weights_version}}"),),
            "short",
            width=12,
            stacked=True,
        ),
        Panel(
            "Stage",
            "How many inspectors are in which stage of a rollout.",
            (Query("sum by (stage) (inspector_rollout_stage)", "{{stage}}"),),
            "short",
            width=12,
            stacked=True,
        ),
    ),
)

_JUDGEMENT = Row(
    "How it judges",
    (
        Panel(
            "Judged defective",
            "Share of the inspected frames that were judged anomalous, now and over the last day. A new version that "
            "moves it without a reason on the line is suspect.",
            (
                Query(share(_ANOMALOUS, _INSPECTED), "now"),
                Query(share(_ANOMALOUS, _INSPECTED, window="1d"), "last day"),
            ),
            "percentunit",
            colours={"now": BLUE, "last day": ORANGE},
        ),
        Panel(
            "Anomaly scores",
            "Half and 95 of 100 inspected frames score less.",
            (Query(quantile(0.5, _SCORE), "50 %"), Query(quantile(0.95, _SCORE), "95 %")),
            "short",
            highest=1,
        ),
        Panel(
            "Alerts by defect type",
            "Committed alerts an hour, by the type of the gravest defect: the 20 commonest.",
            (
                Query(
                    "topk(20, 3600 * sum by (defect_type) "
                    '(rate(inspector_alerts_total{kind="defect"}[$__rate_interval])))',
                    "{{defect_type}}",
                ),
            ),
            "short",
            stacked=True,
        ),
    ),
)

_TRAINER = Row(
    "Trainer",
    (
        Panel(
            "Runs",
            "Runs that ended in the last week, by how.",
            (Query("sum by (run_outcome) (increase(inspector_trainer_runs_total[7d]))", "{{run_outcome}}"),),
            "short",
            "bargauge",
            decimals=0,
        ),
        Panel(
            "Running",
            "Whether a run is going on.",
            (Query("max(inspector_trainer_running)", "trainer"),),
            "short",
            "state-timeline",
            words={0.0: ("waiting", GREEN), 1.0: ("training", BLUE)},
            lowest=None,
        ),
        Panel(
            "Since it last looked",
            "Since a trainer last looked whether there is something to learn from, and was done with it.",
            (Query("time() - max(inspector_trainer_last_look_timestamp_seconds)", "trainer"),),
            "s",
            steps=(Step(6 * 3600, RED),),
        ),
        Panel(
            "Since its last runs",
            "Since the last run that ended so: the lowest line is how the last one ended.",
            (
                Query(
                    "time() - max by (run_outcome) (inspector_trainer_last_run_timestamp_seconds)",
                    "{{run_outcome}}",
                ),
            ),
            "s",
            width=12,
        ),
        Panel(
            "Its last runs took",
            "How long the last run of each outcome took, from when it was first begun: a night in which it was off "
            "counts.",
            (Query("max by (run_outcome) (inspector_trainer_last_run_duration_seconds)", "{{run_outcome}}"),),
            "s",
            width=12,
        ),
    ),
)

WEIGHTS = Dashboard(
    "inspection-weights",
    "Inspection: weights",
    "Which weights judge the frames, how their judgement moves, and what the trainer makes of people's feedback.",
    (_NOW, _ROLLOUT, _JUDGEMENT, _TRAINER),
)
