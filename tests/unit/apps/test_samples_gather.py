"""What gathering keeps of a line: what people spoke of whole, the uncertain, normals that only Kafka still has."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from sample_kit import LIMITS, T0, picture, result

from inspector.adapters.memory.store import MemoryArtefactStore
from inspector.adapters.redis.results import StreamEntry
from inspector.adapters.samples.objects import Objects, in_memory
from inspector.adapters.samples.store import ObjectSampleStore
from inspector.apps.sample_maker import FRAME_GONE, UNDECODABLE, UNUSABLE, SampleMaker
from inspector.apps.samples_gather import MASK_GONE, Gatherer, GatherReport
from inspector.domain.errors import BadInputError, ServiceUnavailableError
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.frame import FrameMeta, FrameSource
from inspector.domain.records import from_json
from inspector.domain.result import InspectionResult, PredLabel
from inspector.domain.sample import RESULT_PART, Sample, SampleKind, feedback_part, mask_part
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.frame_record import encode_headers
from inspector.pipeline.ports import LogRecord
from inspector.pipeline.sample_choice import SampleLimits
from inspector.vision.decode import DecodeLimits

MASK = b"\x89PNG a mask"


@dataclass
class Line:
    """What Redis and Kafka hold of a line; frames judged normal are in Kafka only, as on the real one."""

    results: dict[str, InspectionResult] = field(default_factory=dict)
    frames: dict[str, bytes] = field(default_factory=dict)
    log: dict[FrameSource, LogRecord] = field(default_factory=dict)
    fetched: list[FrameSource] = field(default_factory=list)
    masks: MemoryArtefactStore = field(default_factory=MemoryArtefactStore)
    objects: Objects = field(default_factory=in_memory)
    limits: SampleLimits = LIMITS

    def get(self, frame_id: str) -> InspectionResult | None:
        return self.results.get(frame_id)

    def frame(self, frame_id: str) -> bytes | None:
        return self.frames.get(frame_id)

    def cameras(self) -> dict[str, datetime]:
        return {found.camera_id: T0 for found in self.results.values()}

    def stream(self, camera_id: str) -> list[StreamEntry]:
        found = [one for one in self.results.values() if one.camera_id == camera_id]
        return [StreamEntry(one.frame_id, one.pred_label, one.anomaly_score) for one in reversed(found)]

    def record_at(self, source: FrameSource) -> LogRecord | None:
        self.fetched.append(source)
        return self.log.get(source)

    def inspected(self, frame_id: str, score: float = 0.1, image: bytes | None = None, **changes: object) -> None:
        offset = len(self.results)
        made = result(frame_id, offset, score=score, **changes)
        self.results[frame_id] = made
        image = picture(offset) if image is None else image
        meta = FrameMeta(frame_id, made.camera_id, "line-1", "plate", made.captured_at, "image/jpeg")
        self.log[made.source] = LogRecord(made.source, 0, made.camera_id.encode(), image, encode_headers(meta))
        if made.pred_label is PredLabel.ANOMALOUS:
            self.frames[frame_id] = image

    def forgets(self) -> None:
        """Retention lets everything go."""
        for held in (self.results, self.frames, self.log):
            held.clear()

    def store(self) -> ObjectSampleStore:
        return ObjectSampleStore(self.objects, self.limits, 100_000)

    def gather(self, *said: Feedback) -> GatherReport:
        book = FeedbackBook()
        for feedback in said:
            book.add(feedback)
        maker = SampleMaker(self, self.record_at, DecodeLimits(max_bytes=100_000))
        return Gatherer(maker, self, self.masks, self.store()).gather(book)

    def kept(self) -> dict[str, Sample]:
        return {one.frame_id: one for one in self.store().samples()}


def said(frame_id: str, verdict: str = "wrong", defect_type: str | None = "scratch", **changes: object) -> Feedback:
    label = PredLabel.NORMAL if verdict == "wrong" and defect_type else PredLabel.ANOMALOUS
    whole = {"person": "anna", "given_at": T0, "camera_id": "cam1", "weights_version": "ab" * 32, "pred_label": label}
    return Feedback(
        frame_id=frame_id,
        verdict=FeedbackVerdict(verdict),
        defect_type=defect_type if verdict == "wrong" else None,
        **{**whole, **changes},  # type: ignore[arg-type]
    )


@pytest.fixture
def line() -> Line:
    return Line()


def test_what_people_spoke_of_outlives_redis_and_kafka_with_words_masks_and_result(line: Line) -> None:
    line.inspected("missed", 0.1)
    line.inspected("found", 0.9)
    mask = line.masks.put(MASK)
    words = (said("missed", mask_version=mask), said("found", "right"))
    report = line.gather(*words)
    assert (report.added, report.feedback_lost) == ({SampleKind.FEEDBACK: 2}, ())
    images = {frame_id: line.log[line.results[frame_id].source].value for frame_id in line.results}
    before = dict(line.results)
    line.forgets()
    line.masks = MemoryArtefactStore()
    report = line.gather(*words)
    assert (report.added, report.feedback_lost, report.held) == ({}, (), {SampleKind.FEEDBACK: 2})
    store = line.store()
    for frame_id, kept in line.kept().items():
        assert store.image(kept) == images[frame_id]
        assert from_json(InspectionResult, store.part(kept, RESULT_PART) or b"") == before[frame_id]
    missed = line.kept()["missed"]
    assert store.part(missed, mask_part(words[0].feedback_id)) == MASK
    assert from_json(Feedback, store.part(missed, feedback_part(words[0].feedback_id)) or b"") == words[0]


def test_a_word_given_later_on_a_kept_frame_is_kept_too_when_the_line_has_forgotten_it(line: Line) -> None:
    line.inspected("f1", 0.1)
    line.gather()
    assert line.kept()["f1"].kind is not SampleKind.FEEDBACK
    line.forgets()
    first = said("f1")
    other = said("f1", person="bob", defect_type="dent", given_at=T0 + timedelta(minutes=1))
    assert line.gather(first).added == {SampleKind.FEEDBACK: 1}
    assert line.gather(first).added == {}, "nothing new was said"
    assert line.gather(first, other).feedback_in_conflict == 1
    kept = line.kept()["f1"]
    assert kept.kind is SampleKind.FEEDBACK
    assert {part.name for part in kept.parts} == {
        RESULT_PART, feedback_part(first.feedback_id), feedback_part(other.feedback_id)
    }  # fmt: skip
    changed = replace(first, defect_type="dent", given_at=T0 + timedelta(hours=1))
    line.gather(changed, other)
    store = line.store()
    heard = json.loads(store.part(line.kept()["f1"], feedback_part(first.feedback_id)) or b"")
    assert heard["defect_type"] == "dent"


def test_a_kept_mask_stays_when_others_speak_after_redis_let_it_go(line: Line) -> None:
    line.inspected("f1", 0.1)
    first = said("f1", mask_version=line.masks.put(MASK))
    line.gather(first)
    line.masks = MemoryArtefactStore()
    report = line.gather(first, said("f1", person="bob"))
    assert MASK_GONE not in report.left_out
    assert line.store().part(line.kept()["f1"], mask_part(first.feedback_id)) == MASK


@pytest.mark.parametrize("result_kept", [True, False])
def test_feedback_on_a_frame_id_that_was_used_again_labels_no_older_picture(line: Line, result_kept: bool) -> None:
    line.inspected("f1", 0.1, image=picture(1))
    line.gather()
    line.forgets()
    line.inspected("f0")  # so that the next is another moment's
    line.inspected("f1", 0.1, image=picture(2), weights_version="cd" * 32)
    word = said("f1", weights_version="cd" * 32)
    if not result_kept:
        line.forgets()
    report = line.gather(word)
    kept = line.kept()["f1"]
    if result_kept:
        assert line.store().image(kept) == picture(2)
        assert kept.kind is SampleKind.FEEDBACK
    else:
        assert report.feedback_lost == ("f1",)
        assert kept.kind is not SampleKind.FEEDBACK


def test_what_is_kept_nowhere_any_more_is_told_by_frame(line: Line) -> None:
    line.inspected("here", 0.9)
    report = line.gather(said("here", "right"), said("gone"))
    assert report.feedback_lost == ("gone",)
    line.inspected("no bytes", 0.1)
    del line.log[line.results["no bytes"].source]
    report = line.gather(said("no bytes"), said("gone"))
    assert set(report.feedback_lost) == {"no bytes", "gone"}
    assert report.left_out[FRAME_GONE] == 1


def test_a_mask_that_is_gone_does_not_take_the_frame_with_it(line: Line) -> None:
    line.inspected("f1", 0.1)
    word = said("f1", mask_version="ab" * 32)
    report = line.gather(word)
    assert (report.added, report.left_out[MASK_GONE]) == ({SampleKind.FEEDBACK: 1}, 1)
    assert not any(part.name.startswith("mask") for part in line.kept()["f1"].parts)


def test_normals_are_drawn_from_kafka_and_the_uncertain_are_those_nearest_to_the_threshold(line: Line) -> None:
    line.limits = replace(LIMITS, normals_per_camera=6, uncertain_per_camera=3)
    for number in range(30):
        line.inspected(f"f{number:02}", 0.02 * number)
    report = line.gather()
    assert report.held == {SampleKind.NORMAL: 6, SampleKind.UNCERTAIN: 3}
    kept = line.kept()
    assert {one.frame_id for one in kept.values() if one.kind is SampleKind.UNCERTAIN} == {"f24", "f25", "f26"}
    normal = [one for one in kept.values() if one.kind is SampleKind.NORMAL]
    assert all(one.pred_label is PredLabel.NORMAL for one in normal)
    line.fetched.clear()
    assert line.gather().added == {}, "the same frames draw the same lots"
    assert line.fetched == [], "and are not even looked at"
    for number in range(30, 90):
        line.inspected(f"f{number:02}", 0.1)
    report = line.gather()
    assert report.held == {SampleKind.NORMAL: 6, SampleKind.UNCERTAIN: 3}
    assert report.added.get(SampleKind.NORMAL, 0) > 0, "later frames have their chance"


def test_frames_that_kafka_let_go_do_not_stand_in_the_way_of_those_it_keeps(line: Line) -> None:
    line.limits = replace(LIMITS, normals_per_camera=5, uncertain_per_camera=0)
    for number in range(60):
        line.inspected(f"f{number:02}")
    for number in range(52):
        del line.log[line.results[f"f{number:02}"].source]
    assert line.gather().held == {SampleKind.NORMAL: 5}


def test_a_bounded_number_of_pictures_is_looked_at_where_all_look_alike(line: Line) -> None:
    line.limits = replace(LIMITS, normals_per_camera=5, uncertain_per_camera=0, phash_distance=4)
    for number in range(60):
        line.inspected(f"f{number:02}", image=picture(0, noise=1 + number / 100))
    for _ in range(2):
        line.fetched.clear()
        assert line.gather().held == {SampleKind.NORMAL: 5}
        assert len(line.fetched) == 10


def test_only_verdicts_of_the_weights_in_use_are_uncertain(line: Line) -> None:
    line.inspected("old", 0.5, weights_version="cd" * 32)
    line.inspected("new", 0.7)
    line.gather()
    assert {one.frame_id for one in line.kept().values() if one.kind is SampleKind.UNCERTAIN} == {"new"}


def test_a_frame_judged_anew_is_what_it_was_judged_last(line: Line) -> None:
    line.limits = replace(LIMITS, uncertain_per_camera=0)
    line.inspected("f1", 0.1)
    line.results["f1"] = replace(line.results["f1"], pred_label=PredLabel.ANOMALOUS)
    entries = [StreamEntry("f1", PredLabel.NORMAL, 0.1)]
    line.stream = lambda camera_id: entries  # type: ignore[method-assign]
    assert line.gather().added == {}


def test_other_bytes_at_a_frames_place_are_not_taken_for_it(line: Line) -> None:
    line.inspected("f1", 0.1)
    line.inspected("f2", 0.1)
    line.log[line.results["f1"].source] = line.log.pop(line.results["f2"].source)  # the topic was made anew
    report = line.gather()
    assert line.kept() == {}
    assert report.left_out == {FRAME_GONE: 2}


@pytest.mark.parametrize("bytes_in_redis", [b"no picture", picture(1)[:200], b"\x89PNG\r\n\x1a\n", b"x" * 200_000])
def test_what_cannot_be_decoded_is_left_out(line: Line, bytes_in_redis: bytes) -> None:
    line.inspected("bad", 0.9)
    line.inspected("good", 0.8)
    line.frames["bad"] = bytes_in_redis
    report = line.gather(said("bad", "right"))
    assert report.left_out[UNDECODABLE] == 1
    assert report.feedback_lost == ("bad",)
    assert set(line.kept()) == {"good"}


def test_a_kept_frame_that_was_damaged_is_taken_again_while_the_line_has_it(line: Line) -> None:
    line.inspected("f1", 0.9)
    word = said("f1", "right")
    line.gather(word)
    image_name = next(found.name for found in line.objects.list() if found.name.endswith(line.kept()["f1"].sha256))
    line.objects.put(image_name, b"cut")
    assert line.gather(word).added == {SampleKind.FEEDBACK: 1}
    kept = line.kept()["f1"]
    assert hashlib.sha256(line.store().image(kept)).hexdigest() == kept.sha256


def test_nobody_speaks_of_another_cameras_frame(line: Line) -> None:
    line.inspected("f1", 0.9)
    report = line.gather(said("f1", "right", camera_id="cam2"))
    assert report.feedback_lost == ("f1",)


def test_of_very_many_people_the_latest_are_heard(line: Line) -> None:
    line.inspected("f1", 0.9)
    words = [said("f1", "right", person=f"p{n}", given_at=T0 + timedelta(seconds=n)) for n in range(100)]
    line.gather(*words)
    names = {part.name for part in line.kept()["f1"].parts}
    assert feedback_part(words[-1].feedback_id) in names
    assert feedback_part(words[0].feedback_id) not in names


def test_a_frame_people_spoke_of_finds_no_room_only_beside_others_like_it(line: Line) -> None:
    line.limits = replace(LIMITS, max_bytes=25_000)
    for number in range(8):
        line.inspected(f"f{number}", 0.1)
    line.gather()
    words = [said(f"f{number}") for number in range(8)]
    report = line.gather(*words)
    assert report.used_bytes <= 25_000
    assert report.held == {SampleKind.FEEDBACK: 8 - len(report.feedback_lost)}
    assert 0 < len(report.feedback_lost) < 8


def test_a_store_that_is_full_ends_the_gathering_and_keeps_what_was_kept(line: Line) -> None:
    for number in range(4):
        line.inspected(f"f{number}", 0.9)
    writes = [0]
    put = line.objects.put

    def fails_later(name: str, data: bytes) -> None:
        writes[0] += 1
        if writes[0] > 7:
            raise ServiceUnavailableError("room", "no space left", "make room")
        put(name, data)

    line.objects.put = fails_later  # type: ignore[method-assign]
    words = [said(f"f{number}", "right") for number in range(4)]
    with pytest.raises(ServiceUnavailableError):
        line.gather(*words)
    line.objects.put = put  # type: ignore[method-assign]
    assert len(line.kept()) == 1
    assert not list(line.store().damage())
    assert line.gather(*words).held == {SampleKind.FEEDBACK: 4}


def test_a_result_that_no_inspector_writes_is_left_out(line: Line) -> None:
    line.inspected("bad", 0.9, product="\x1b[2J")
    line.inspected("good", 0.9)
    report = line.gather(said("bad", "right"))
    assert report.left_out[UNUSABLE] == 1
    assert set(line.kept()) == {"good"}


def test_a_record_in_redis_that_is_no_result_is_left_alone(line: Line) -> None:
    line.inspected("f1", 0.9)
    line.inspected("f2", 0.9)
    get = line.get

    def reads(frame_id: str) -> InspectionResult | None:
        if frame_id == "f1":
            raise BadInputError("a result", "something else", "look")
        return get(frame_id)

    line.get = reads  # type: ignore[method-assign]
    report = line.gather(said("f1", "right"))
    assert report.feedback_lost == ("f1",)
    assert set(line.kept()) == {"f2"}
