"""``inspector results`` and ``inspector cameras``: what Redis holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inspector.adapters.redis.results import RedisResults
from inspector.apps import console, wiring
from inspector.apps.file_names import OutputNames
from inspector.apps.kept_results import require_known_camera
from inspector.apps.words import regions_cell
from inspector.domain.errors import BadInputError
from inspector.domain.result import InspectionResult
from inspector.settings import Settings


def run(
    settings: Settings, camera_id: str, last: int, defects_only: bool, overlay_dir: Path | None, as_json: bool
) -> None:
    """Print a camera's last results, the latest first; ``as_json``: one JSON array.

    Raises:
        BadInputError: the camera is unknown, or ``overlay_dir`` cannot be written.
        InspectorError: as ``RedisResults``.
    """
    store = wiring.results(settings)
    found = store.last(camera_id, last, defects_only)
    if not found:
        _say_why_none(settings, store, camera_id, defects_only)
    if overlay_dir is not None:
        saved = _save_overlays(store, found, overlay_dir)
        console.remark(f"{saved} overlays in {overlay_dir}")
    if as_json:
        console.print_records(found)
        return
    if not found:
        return
    made = console.table("captured", "verdict", "score", "defects", "part", "frame")
    for result in found:
        made.add_row(
            console.local_time(result.captured_at),
            console.verdict(result.pred_label),
            f"{result.anomaly_score:.3f}",
            regions_cell(result.pred_label, result.defects),
            console.cell(result.part_id or "-"),
            console.cell(result.frame_id, "dim"),
        )
    console.print_table(made)


def _say_why_none(settings: Settings, store: RedisResults, camera_id: str, defects_only: bool) -> None:
    require_known_camera(settings, store, camera_id)
    if defects_only and (good := store.counts(camera_id).good):
        console.remark(f"no anomalous results of camera {camera_id} among those kept; good ones: {good}")
        return
    what = "anomalous results" if defects_only else "results"
    console.remark(f"no {what} of camera {camera_id} yet; is `inspector inspect` running and the camera producing?")


def cameras(settings: Settings, as_json: bool) -> None:
    """Print the cameras that have results. Raises as ``RedisResults``."""
    store = wiring.results(settings)
    found = [(camera_id, seen, store.counts(camera_id)) for camera_id, seen in store.cameras().items()]
    if as_json:
        facts = [
            {"camera_id": camera_id, "last_result_at": seen, "good": counts.good, "anomalous": counts.defect}
            for camera_id, seen, counts in found
        ]
        console.print_json(facts)
        return
    made = console.table("camera", "last result", "good", "anomalous")
    for camera_id, seen, counts in found:
        made.add_row(console.cell(camera_id), console.local_time(seen), str(counts.good), str(counts.defect))
    console.print_table(made)


def _save_overlays(store: RedisResults, found: Sequence[InspectionResult], folder: Path) -> int:
    names, saved = OutputNames(), 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with console.progress("overlays", len(found)) as meter:
            for result in found:
                meter.advance()
                if (overlay := store.overlay(result.frame_id)) is not None:
                    name = names.give(Path(result.frame_id.replace("/", "_") + ".jpg"))
                    (folder / name.with_name(name.name + ".jpg")).write_bytes(overlay)
                    saved += 1
    except OSError as error:
        raise BadInputError(
            "a folder to save overlays in", f"{folder}: {error.strerror}", "choose another --overlay-dir"
        ) from error
    return saved
