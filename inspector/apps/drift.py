"""``inspector drift``: cameras whose scores or pictures are not what they were. It tells, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.apps import console, model_wiring, wiring
from inspector.apps.drift_views import KeptFrame, Views, views
from inspector.apps.kept_results import KeptResults, kept_results
from inspector.domain.drift import CameraDrift, CameraSnapshot, DriftBaseline, DriftCheck, DriftVerdict
from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.records import from_json, to_json
from inspector.domain.result import PredLabel
from inspector.domain.sample import Sample
from inspector.files import write_whole
from inspector.pipeline.drift import compare
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.adapters.redis.results import RedisResults
    from inspector.pipeline.sample_port import SampleStore

_STYLES = {DriftVerdict.DRIFTED: "bold red", DriftVerdict.STABLE: "green"}
_MOST_BASELINE_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Request:
    """``camera_id`` None: all with results. ``recent`` results are now. ``baseline``: a file that was saved."""

    camera_id: str | None = None
    recent: int = 200
    baseline: Path | None = None
    save: Path | None = None
    as_json: bool = False


def run(settings: Settings, request: Request) -> None:
    """Print what has changed; with ``save``, keep what the cameras are like now instead.

    Raises:
        BadInputError: the camera is unknown, or a file cannot be used.
        InspectorError: as ``RedisResults``.
    """
    saved = {} if request.baseline is None else _read_baseline(request.baseline)
    store = wiring.results(settings)
    cameras = sorted(store.cameras()) if request.camera_id is None else [request.camera_id]
    samples = _samples(settings)
    with console.progress("looking", len(cameras)) as meter:
        seen = {}
        for camera_id in cameras:
            seen[camera_id] = _look(settings, store, samples, camera_id, request.recent)
            meter.advance()
    if request.save is not None:
        _save(request.save, [each.latest for each in seen.values()], request.as_json)
        return
    drifts = [_drift(each, saved, given=request.baseline is not None) for each in seen.values()]
    if request.as_json:
        console.print_records(drifts)
        return
    for drift in drifts:
        _print(drift)
    if drifted := [drift.camera_id for drift in drifts if drift.drifted]:
        console.remark(f"a reason to retrain, for the trainer takes drift up by itself: {', '.join(drifted)}", "yellow")
    if not drifts:
        console.remark("no camera has results; is `inspector inspect` running?")


def look(settings: Settings, recent: int = 200) -> list[CameraDrift]:
    """Return how each camera with results compares with its oldest ones kept. Raises as ``run``."""
    store, samples = wiring.results(settings), _samples(settings)
    return [
        _drift(_look(settings, store, samples, camera_id, recent), {}, given=False)
        for camera_id in sorted(store.cameras())
    ]


def _drift(seen: Views, saved: Mapping[str, CameraSnapshot], *, given: bool) -> CameraDrift:
    baseline = saved.get(seen.latest.camera_id)
    drift = compare(baseline or seen.oldest, seen.latest, baseline_kept=baseline is not None)
    missing = ("the baseline file has nothing of this camera",) if given and baseline is None else ()
    return replace(drift, remarks=(*drift.remarks, *missing, *seen.remarks))


def _look(settings: Settings, store: RedisResults, samples: SampleStore | None, camera_id: str, recent: int) -> Views:
    from inspector.vision.image_quality import frame_quality

    limits = model_wiring.decode_limits(settings)
    kept = kept_results(settings, store, camera_id, datetime.now(UTC))
    frames, remarks = _frames(store, samples, camera_id, kept)
    found = views(camera_id, kept, store, frames, lambda image: frame_quality(image, limits), recent)
    return replace(found, remarks=(*found.remarks, *remarks))


def _frames(
    store: RedisResults, samples: SampleStore | None, camera_id: str, kept: KeptResults
) -> tuple[list[KeptFrame], tuple[str, ...]]:
    """Return the frames whose bytes may be had: of anomalous results, and what is kept for training, once each."""
    frames = {
        result.frame_id: KeptFrame(
            result.frame_id, result.captured_at, result.pred_label, partial(store.frame, result.frame_id)
        )
        for result in kept.results
        if result.pred_label is PredLabel.ANOMALOUS
    }
    if samples is None:
        return list(frames.values()), ()
    try:
        for sample in samples.samples(camera_id):
            load = partial(_image, samples, sample)
            frames.setdefault(sample.frame_id, KeptFrame(sample.frame_id, sample.captured_at, sample.pred_label, load))
    except InspectorError as error:
        return list(frames.values()), (f"frames kept for training cannot be read: {error}",)
    return list(frames.values()), ()


def _image(samples: SampleStore, sample: Sample) -> bytes | None:
    try:
        return samples.image(sample)
    except BadInputError:  # gone or damaged
        return None


def _samples(settings: Settings) -> SampleStore | None:
    """Return the frames kept for training, None where there is no such place: looking should not make one."""
    if not settings.samples.in_s3 and not Path(settings.samples.place).is_dir():
        return None
    return wiring.sample_store(settings)


def _save(path: Path, snapshots: Sequence[CameraSnapshot], as_json: bool) -> None:
    known = [snapshot for snapshot in snapshots if snapshot.scores]
    if not known:
        raise BadInputError("results to keep as a baseline", "none", "start `inspector inspect`, and save it later")
    try:
        write_whole(path, to_json(DriftBaseline(datetime.now(UTC), tuple(known))))
    except OSError as error:
        raise BadInputError("a file that can be written", f"{path}: {error.strerror}", "choose another") from error
    if as_json:
        console.print_json({"saved": str(path), "cameras": [snapshot.camera_id for snapshot in known]})
        return
    console.lines([f"baseline of {len(known)} cameras in {path}; compare with it by --baseline {path}"])


def _read_baseline(path: Path) -> Mapping[str, CameraSnapshot]:
    try:
        if path.stat().st_size > _MOST_BASELINE_BYTES:
            raise BadInputError("a baseline of --save", f"{path} of {path.stat().st_size} bytes", "check the path")
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError("a baseline that --save wrote", f"{path}: {error.strerror}", "check the path") from error
    return {snapshot.camera_id: snapshot for snapshot in from_json(DriftBaseline, content).cameras}


def _print(drift: CameraDrift) -> None:
    title = "has drifted" if drift.drifted else "nothing has drifted, of what could be told"
    console.lines([f"{drift.camera_id}: {title}{_times(drift)}"])
    made = console.table("check", "verdict", "then", "now", "of", "what it says")
    for check in drift.checks:
        made.add_row(
            check.name,
            console.cell(check.verdict.replace("_", " "), _STYLES.get(check.verdict, "dim")),
            _number(check.baseline),
            _number(check.recent),
            f"{check.baseline_count}/{check.recent_count}",
            console.cell(_said(check)),
        )
    console.print_table(made)
    for remark in drift.remarks:
        console.remark(remark, "yellow")


def _times(drift: CameraDrift) -> str:
    if drift.baseline_from is None or drift.recent_to is None:
        return ""
    return f" (from {console.local_time(drift.baseline_from)} to {console.local_time(drift.recent_to)})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _said(check: DriftCheck) -> str:
    return check.text if check.chance is None else f"{check.text} (chance {check.chance:.2g})"
