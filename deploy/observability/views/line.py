"""The line view: what the cameras see, for the people beside the line."""

from __future__ import annotations

from observability.grafana import BLUE, GREY, ORANGE, RED, YELLOW, Dashboard, Panel, Query, Row, Step, Variable, number
from observability.promql import of_the_chosen_line, rate, share

_CAMERA = 'camera_id=~"$camera"'
_FRAMES = f"inspector_frames_total{{{_CAMERA}}}"
_INSPECTED = f'inspector_frames_total{{{_CAMERA}, outcome="inspected"}}'
_ANOMALOUS = f'inspector_frames_total{{{_CAMERA}, reason="anomalous"}}'
_REJECTED = f'inspector_frames_total{{{_CAMERA}, outcome="rejected"}}'
_LEFT_OUT = f'inspector_frames_total{{{_CAMERA}, outcome!="inspected"}}'
_SPOOL_FULL = f"inspector_spool_bytes{{{_CAMERA}}} / inspector_spool_max_bytes{{{_CAMERA}}}"
_LAST_FRAME = f"max by (camera_id) (inspector_camera_last_frame_timestamp_seconds{{{_CAMERA}}})"
_SILENT_AFTER_S = 300
_DRIFT_WORDS = {0.0: ("as it was", "green"), 1.0: ("drifted", RED)}

_NOW = Row(
    "Now",
    (
        number(
            "Cameras that send",
            "Cameras with a frame captured in the last five minutes.",
            f"count(time() - {_LAST_FRAME} < {_SILENT_AFTER_S}) or vector(0)",
            "short",
        ),
        number(
            "Frames",
            "Frames a second that were inspected, rejected or dropped, all chosen cameras together.",
            f"sum({rate(_FRAMES)})",
            "reqps",
            decimals=1,
        ),
        number(
            "Judged defective",
            "Share of the inspected frames that were judged anomalous.",
            share(_ANOMALOUS, _INSPECTED),
            "percentunit",
            steps=(Step(0.2, YELLOW), Step(0.5, RED)),
            decimals=1,
        ),
        number(
            "Rejected",
            "Share of the frames that could not be inspected: undecodable, too large, duplicates and so on.",
            share(_REJECTED, _FRAMES),
            "percentunit",
            steps=(Step(0.01, YELLOW), Step(0.05, RED)),
            decimals=2,
        ),
        number(
            "Cameras that drifted",
            "Cameras whose scores or pictures are not what they were (inspector drift).",
            f"sum(max by (camera_id) (inspector_camera_drift{{{_CAMERA}}})) or vector(0)",
            "short",
            steps=(Step(1, ORANGE),),
        ),
        number(
            "Frames kept on disk",
            "Frames that cameras hold back because Kafka takes none; they are sent when it does.",
            f"sum(inspector_spool_frames{{{_CAMERA}}})",
            "short",
            steps=(Step(1, ORANGE),),
        ),
    ),
)

_JUDGEMENTS = Row(
    "What is seen",
    (
        Panel(
            "Frames by judgement",
            "Frames a second by what became of them. Normal and anomalous are inspected frames; the rest has "
            "a panel of its own.",
            (
                Query(f"sum by (reason) ({rate(_INSPECTED)})", "{{reason}}"),
                Query(
                    f"sum by (outcome) ({rate(_LEFT_OUT)})",
                    "{{outcome}}",
                ),
            ),
            "reqps",
            width=12,
            stacked=True,
            colours={"normal": BLUE, "anomalous": ORANGE, "rejected": RED, "dropped": GREY},
        ),
        Panel(
            "Judged defective, by camera",
            "Share of a camera's inspected frames that were judged anomalous: the 20 highest. A camera whose share "
            "jumps sees another product, another light, or a real fault.",
            (Query(f"topk(20, {share(_ANOMALOUS, _INSPECTED, 'camera_id')})", "{{camera_id}}"),),
            "percentunit",
            width=12,
        ),
        Panel(
            "Alerts by defect type",
            "Committed alerts over the dashboard's time, by the type of the gravest defect.",
            (
                Query(
                    'sort_desc(sum by (defect_type) (increase(inspector_alerts_total{kind="defect"}[$__range])))',
                    "{{defect_type}}",
                ),
            ),
            "short",
            "bargauge",
            decimals=0,
        ),
        Panel(
            "Anomaly scores",
            "How many frames had which score, 0 to 1. Two hills far apart are a clear judgement; a hill at the "
            "threshold is not.",
            (Query("sum by (le) (increase(inspector_anomaly_score_bucket[$__rate_interval]))", "{{le}}"),),
            "short",
            "heatmap",
            lowest=None,
        ),
        Panel(
            "Rejected and dropped, by reason",
            "Frames a second that were not inspected. Each is a dead letter with its reason; duplicates come from a "
            "camera that sent its spool twice, and lose nothing.",
            (
                Query(
                    f"sum by (reason) ({rate(_LEFT_OUT)})",
                    "{{reason}}",
                ),
            ),
            "reqps",
            stacked=True,
        ),
    ),
)

_CAMERAS = Row(
    "Cameras",
    (
        Panel(
            "Frames, by camera",
            "Frames a second of each camera: the 20 busiest.",
            (Query(f"topk(20, sum by (camera_id) ({rate(_FRAMES)}))", "{{camera_id}}"),),
            "reqps",
            width=12,
        ),
        Panel(
            "Time since the last frame",
            "Since the newest committed frame of a camera was captured: the 20 longest. While frames wait (service "
            "view, lag) all cameras look late.",
            (Query(f"topk(20, time() - {_LAST_FRAME})", "{{camera_id}}"),),
            "s",
            width=12,
            steps=(Step(_SILENT_AFTER_S, RED),),
        ),
        Panel(
            "Sent by the cameras",
            "Frames a second that Kafka acknowledged, as the producers count them, and those it refused for good.",
            (
                Query(
                    f"sum by (outcome) (rate(inspector_produced_frames_total{{{_CAMERA}}}[$__rate_interval]))",
                    "{{outcome}}",
                ),
            ),
            "reqps",
            stacked=True,
            colours={"acknowledged": BLUE, "refused": RED},
        ),
        Panel(
            "Spool, share of its limit",
            "How full the folder is in which a camera keeps frames while Kafka is away: the 20 fullest. Full, the "
            "camera waits, and what it would have seen is not seen.",
            (
                Query(
                    f"topk(20, max by (camera_id) ({_SPOOL_FULL}))",
                    "{{camera_id}}",
                ),
            ),
            "percentunit",
            steps=(Step(0.5, YELLOW), Step(0.8, RED)),
        ),
        Panel(
            "Drift",
            "Whether a camera is what it was when its oldest kept results were made; a camera with too little to tell "
            "is not listed. 20 at most, those that drifted first.",
            (Query(f"topk(20, max by (camera_id) (inspector_camera_drift{{{_CAMERA}}}))", "{{camera_id}}"),),
            "short",
            "state-timeline",
            words=_DRIFT_WORDS,
            steps=(Step(1, RED),),
            lowest=None,
        ),
    ),
)

LINE = Dashboard(
    "inspection-line",
    "Inspection: line",
    "What the cameras see: how much, how it was judged, which camera is silent, blind or not what it was.",
    (_NOW, _JUDGEMENTS, _CAMERAS),
    (Variable("camera", "Camera", of_the_chosen_line("label_values(inspector_frames_total, camera_id)")),),
)
