"""The service view: does everything run, does it keep up, and where does the time go."""

from __future__ import annotations

from observability.grafana import ORANGE, RED, YELLOW, Dashboard, Panel, Query, Row, Step, number
from observability.promql import quantile

_LAG = "sum(inspection:lag_frames:sum)"
_COMMITTED = "sum(rate(inspector_frames_total[$__rate_interval]))"

_NOW = Row(
    "Now",
    (
        number(
            "Inspectors",
            "Inspectors whose worker answers. A worker that ends is started again by its supervisor.",
            "sum(inspector_worker_up) or vector(0)",
            "short",
        ),
        number(
            "Lag",
            "Published frames that are not committed.",
            _LAG,
            "short",
            steps=(Step(500, YELLOW), Step(5000, RED)),
        ),
        number(
            "Lag, in time",
            "How long the inspectors need for what waits, at the speed of now.",
            f"{_LAG} / ({_COMMITTED} > 0) or vector(0)",
            "s",
            steps=(Step(60, YELLOW), Step(600, RED)),
        ),
        number(
            "Capture to commit, 99 %",
            "99 of 100 inspected frames took less, from the camera's clock to the commit.",
            quantile(0.99, "inspector_frame_latency_seconds"),
            "s",
            steps=(Step(10, YELLOW), Step(60, RED)),
            decimals=1,
        ),
        number(
            "Since the last commit",
            "Of any inspector. It grows while no frames come, too.",
            "time() - max(inspector_last_commit_timestamp_seconds)",
            "s",
            steps=(Step(60, YELLOW), Step(300, RED)),
        ),
        number(
            "Lost or doubled",
            "What the last inspector reconcile found that does not fit: must be 0.",
            "sum(inspector_reconcile_findings)",
            "short",
            steps=(Step(1, RED),),
        ),
    ),
)

_FLOW = Row(
    "Does it keep up",
    (
        Panel(
            "Lag by partition",
            "Published frames that the group has not committed. One partition that grows alone has a stuck owner, or a "
            "camera that sends too much.",
            (Query("max by (partition) (inspector_group_lag_frames)", "{{partition}}"),),
            "short",
            stacked=True,
        ),
        Panel(
            "Committed frames, by inspector",
            "Frames a second.",
            (Query("sum by (instance) (rate(inspector_frames_total[$__rate_interval]))", "{{instance}}"),),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Capture to commit",
            "Half, 95 and 99 of 100 inspected frames took less. The camera's clock has a part in it.",
            (
                Query(quantile(0.5, "inspector_frame_latency_seconds"), "50 %"),
                Query(quantile(0.95, "inspector_frame_latency_seconds"), "95 %"),
                Query(quantile(0.99, "inspector_frame_latency_seconds"), "99 %"),
            ),
            "s",
        ),
        Panel(
            "Time by stage, 95 %",
            "95 of 100 frames (store, commit: batches) spent less in the stage.",
            (Query(quantile(0.95, "inspector_stage_seconds", "stage"), "{{stage}}"),),
            "s",
        ),
        Panel(
            "Frames a batch",
            "Mean of the committed batches. Near batch.max_size the inspectors are busy; near 1 they wait for frames.",
            (
                Query(
                    "sum by (instance) (rate(inspector_batch_frames_sum[$__rate_interval])) / "
                    "(sum by (instance) (rate(inspector_batch_frames_count[$__rate_interval])) > 0)",
                    "{{instance}}",
                ),
            ),
            "short",
        ),
        Panel(
            "Queues",
            "Frames taken and not yet committed, by what they wait for.",
            (Query("sum by (queue) (inspector_queue_frames)", "{{queue}}"),),
            "short",
            stacked=True,
        ),
        Panel(
            "Queues, bytes",
            "What the queued frames take, encoded and decoded.",
            (Query("sum by (instance) (inspector_queue_bytes)", "{{instance}}"),),
            "bytes",
        ),
        Panel(
            "Fetching paused",
            "Share of the time in which an inspector took nothing more because its queues were full.",
            (Query("avg by (instance) (avg_over_time(inspector_fetch_paused[$__rate_interval]))", "{{instance}}"),),
            "percentunit",
            highest=1,
        ),
        Panel(
            "Commits",
            "Committed batches a second.",
            (Query("sum by (instance) (rate(inspector_commits_total[$__rate_interval]))", "{{instance}}"),),
            "ops",
        ),
    ),
)

_TROUBLE = Row(
    "Trouble",
    (
        Panel(
            "Waited out",
            "Troubles a second that were waited out, counted at every new try: Kafka or Redis away, a commit that "
            "failed.",
            (Query("sum by (what) (rate(inspector_troubles_total[$__rate_interval]))", "{{what}}"),),
            "ops",
            stacked=True,
        ),
        Panel(
            "Workers started again",
            "Over the last hour, by why they ended.",
            (Query("sum by (why) (increase(inspector_worker_restarts_total[1h]))", "{{why}}"),),
            "short",
            stacked=True,
        ),
        Panel(
            "Dead letters",
            "Committed dead letters a second, by reason.",
            (Query("sum by (reason) (rate(inspector_dead_letters_total[$__rate_interval]))", "{{reason}}"),),
            "ops",
            stacked=True,
        ),
        Panel(
            "Reconcile",
            "What the last inspector reconcile found that does not fit, by kind.",
            (Query("max by (finding) (inspector_reconcile_findings)", "{{finding}}"),),
            "short",
        ),
        Panel(
            "Age of what is looked at",
            "Since the last reconcile, and since all cameras were last looked at for drift.",
            (
                Query("time() - max(inspector_reconcile_timestamp_seconds)", "reconcile"),
                Query("time() - max(inspector_drift_timestamp_seconds)", "drift"),
            ),
            "s",
        ),
        Panel(
            "The watch's failures",
            "Looks at the line that failed, a second.",
            (Query("sum(rate(inspector_watch_failures_total[$__rate_interval]))", "failures"),),
            "ops",
        ),
    ),
)

_MACHINES = Row(
    "Machines",
    (
        Panel(
            "CPU",
            "Cores that a process uses.",
            (
                Query(
                    'rate(process_cpu_seconds_total{job=~"inspector|trainer|camera|serve|watch"}[$__rate_interval])',
                    "{{job}} {{instance}}",
                ),
            ),
            "short",
        ),
        Panel(
            "Memory",
            "Resident memory of a process.",
            (
                Query(
                    'process_resident_memory_bytes{job=~"inspector|trainer|camera|serve|watch"}', "{{job}} {{instance}}"
                ),
            ),
            "bytes",
        ),
        Panel(
            "Free on disk",
            "Share of the disk that is free where cameras spool and the trainer works.",
            (
                Query(
                    "min by (job, place) (inspector_disk_free_bytes / inspector_disk_size_bytes)", "{{job}} {{place}}"
                ),
            ),
            "percentunit",
            highest=1,
            steps=(Step(0.1, ORANGE),),
        ),
    ),
)

_GPU = Row(
    "GPU (where there is one)",
    (
        Panel(
            "GPU utilization",
            "Share of the time in which the GPU computed, for anyone, mean of 5 minutes. Low while frames wait: the "
            "inspector is held up elsewhere (decoding, Kafka, Redis). Slices of a GPU (MIG) do not tell of it.",
            (
                Query(
                    "max by (instance, device) (avg_over_time(inspector_gpu_utilization_ratio[5m]))",
                    "{{instance}} {{device}}",
                ),
            ),
            "percentunit",
            highest=1,
            width=12,
        ),
        Panel(
            "GPU memory",
            "In use on the GPU, by anyone, as a share of its memory.",
            (
                Query(
                    "max by (instance, device) (inspector_gpu_memory_used_bytes / inspector_gpu_memory_total_bytes)",
                    "{{instance}} {{device}}",
                ),
            ),
            "percentunit",
            highest=1,
            width=12,
            steps=(Step(0.9, RED),),
        ),
    ),
)

_API = Row(
    "HTTP API",
    (
        Panel(
            "Requests",
            "Answered requests a second, by status.",
            (Query("sum by (code) (rate(inspector_http_requests_total[$__rate_interval]))", "{{code}}"),),
            "reqps",
            width=12,
            stacked=True,
            colours={"5xx": RED, "4xx": YELLOW},
        ),
        Panel(
            "Time to answer, 95 %",
            "95 of 100 requests of a route took less.",
            (Query(quantile(0.95, "inspector_http_request_seconds", "route"), "{{route}}"),),
            "s",
            width=12,
        ),
    ),
)

SERVICE = Dashboard(
    "inspection-service",
    "Inspection: service",
    "Does everything run, does it keep up with the cameras, where does the time go, and is anything lost.",
    (_NOW, _FLOW, _TROUBLE, _MACHINES, _GPU, _API),
)
