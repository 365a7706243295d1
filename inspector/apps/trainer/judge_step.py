"""The step that shows a candidate and the weights that serve the same frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from inspector.apps import model_wiring
from inspector.apps.trainer import engines
from inspector.apps.trainer.job import CompanionsNote, Job
from inspector.dapo.weights_file import load_weights
from inspector.domain.artefact import ArtefactKind
from inspector.domain.errors import BadInputError
from inspector.domain.release import Companion
from inspector.files import write_whole
from inspector.pipeline.gate_evidence import GateEvidence
from inspector.training.refresh import judged_frames
from inspector.training.refresh.companions import decoded, make_companions, normals_by_camera, too_few
from inspector.training.refresh.core_scenes import CoreScenes
from inspector.training.refresh.judged_frames import JudgedFrame
from inspector.training.refresh.judging import judge_both
from inspector.vision.engine import InspectionEngine


def judge_candidate(job: Job) -> GateEvidence:
    """Judge all frames by both weights, each with its own banks and thresholds; make the candidate's first.

    Raises:
        JudgingStoppedError: told to stop.
        ServiceUnavailableError: Kafka or Redis is away.
        BadInputError: weights that are not for the configured model, or that score otherwise here than where they were
            published.
    """
    made = load_weights(job.folder.candidate, model_wiring.model_spec(job.settings))
    announcements, artefacts = job.world.announcements(), job.world.artefacts
    job.tell("judging the candidate beside the weights that serve")
    serving = job.serving
    current = engines.serving_engine(job.settings, serving.made, serving.companions, announcements, artefacts)
    # Before anything is judged: a machine that does not score as the line does would compare other weights than serve.
    current.engine.check_golden_batch(serving.golden)
    candidate = engines.candidate_engine(job.settings, made, announcements, artefacts)
    note = _companions(job, candidate, current)
    scenes = _scenes(job, current.engine)
    good_scenes = list(judged_frames.core_normals(scenes))
    cameras = {frame.camera_id for frame in job.inputs.frames}
    own = {(each.kind, each.subject) for each in note.made}
    now, rate = datetime.now(UTC), job.settings.calibration.false_alarm_rate
    for engine, theirs in ((current.engine, current.own), (candidate, own)):
        engines.prepare_for_judging(engine, theirs, cameras, job.normals(), good_scenes, job.folder.images, rate, now)
    frames = _frames(job, current.engine, scenes)
    batch = job.settings.batch.max_size
    evidence = judge_both(current.engine, candidate, frames, job.inputs.verdicts, batch, job.stop)
    return replace(evidence, lost=note.left_out)


def _scenes(job: Job, engine: InspectionEngine) -> CoreScenes:
    words, seed = job.inputs.vocabulary("default"), job.inputs.recipe.options.seed
    return CoreScenes(job.settings.trainer.core_judged, words, engine.image_size_px, seed, judging=True)


def _frames(job: Job, engine: InspectionEngine, scenes: CoreScenes) -> Iterator[JudgedFrame]:
    yield from judged_frames.known(job.inputs, job.folder.images)
    good = (frame for frame in job.inputs.judging if not frame.persons)
    held_out = normals_by_camera(good, job.settings.trainer.normals_per_camera)
    sides_px = {
        camera_id: first[0].pixels.side_px
        for camera_id, frames in held_out.items()
        if (first := decoded(engine, frames[:1], job.folder.images))
    }
    readable = {camera_id: held_out[camera_id] for camera_id in sides_px}
    limits, least = model_wiring.decode_limits(job.settings), job.settings.gate.group_least_frames
    yield from judged_frames.painted(readable, job.inputs, job.folder.images, sides_px, limits, least)
    yield from judged_frames.core(scenes, job.inputs.vocabulary("default"))


def _companions(job: Job, candidate: InspectionEngine, current: engines.Served) -> CompanionsNote:
    """Make, or take up, the banks and calibrations of the candidate: for the cameras that have some today."""
    if not job.folder.has("companions"):
        note = _make_companions(job, candidate, current)
        job.folder.write("companions", note)
        return note
    note = job.folder.read("companions", CompanionsNote)
    for each in note.made:
        data = job.folder.artefact(each.version).read_bytes()
        if each.kind is ArtefactKind.BANK:
            candidate.set_bank(each.subject, each.version, data)
        else:
            candidate.set_calibration(each.version, data)
    return note


def _make_companions(job: Job, candidate: InspectionEngine, current: engines.Served) -> CompanionsNote:
    made: list[Companion] = []
    left_out: list[str] = []
    banked, normals = current.cameras(ArtefactKind.BANK), job.normals()
    now, rate = datetime.now(UTC), job.settings.calibration.false_alarm_rate
    idle = set(job.settings.gate.cameras_out_of_use)
    for camera_id in sorted((banked | current.cameras(ArtefactKind.CALIBRATION)) - idle):
        frames = decoded(candidate, normals.get(camera_id, ()), job.folder.images)
        try:
            found = make_companions(candidate, camera_id, frames, rate, now, bank=camera_id in banked)
        except BadInputError as error:
            left_out.append(too_few(camera_id, error))
            continue
        for each in found:
            place = job.folder.artefact(each.version)
            place.parent.mkdir(exist_ok=True)
            write_whole(place, each.data, alone=True)
            made.append(Companion(each.kind, each.subject, each.version))
    return CompanionsNote(tuple(made), tuple(left_out))
