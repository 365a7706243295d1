"""Each rule of the checker on made-up evidence: a line in order is clean; what is wrong is found as what it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import checker
import pytest
from evidence import Evidence, Kept, SeenAlert, SeenLetter, SeenNotice, SeenResult
from findings import Kind
from journal import StoredBatch, StoredFrame
from rules import compare
from stub_engine import stub_verdict
from truth import TrueFrame

from inspector.domain.result import PredLabel
from inspector.pipeline.ports import StoreStatus

TOPIC, CAMERA, WEIGHTS, NOW_S = "frames", "cam", "w1", 1_000_000.0
KEPT = Kept(good_s=3600, defect_s=7200, good_per_camera=100, defect_per_camera=100)


def bytes_of(label: PredLabel, number: int) -> str:
    """Return the SHA-256 of made-up bytes that the stub judges so."""
    hashes = (hashlib.sha256(f"{number} {salt}".encode()).hexdigest() for salt in range(10_000))
    return next(each for each in hashes if stub_verdict(each).label is label)


def frame(offset: int, label: PredLabel = PredLabel.NORMAL, expected: str = "inspected") -> TrueFrame:
    sha256 = bytes_of(label, offset)
    return TrueFrame(
        f"f{offset}", CAMERA, TOPIC, 0, offset, sha256, "", offset, expected, round(1000 * NOW_S), f"part{offset}"
    )


def alert(of: TrueFrame, place: int) -> SeenAlert:
    score = stub_verdict(of.sha256).score
    alert_id = f"a{of.offset}"
    names = (alert_id, of.camera_id, of.frame_id)
    return SeenAlert((0, place), *names, of.source, score, WEIGHTS, ce_id=alert_id, part_id=of.part_id)


def result(of: TrueFrame) -> SeenResult:
    verdict = stub_verdict(of.sha256)
    written = f"2026-01-01T00:00:00.{of.offset:06}Z"
    judged = (verdict.label, verdict.score, WEIGHTS, written)
    return SeenResult(of.frame_id, of.camera_id, of.source, *judged, filed_as=of.frame_id, part_id=of.part_id)


def letter(of: TrueFrame, reason: str = "undecodable") -> SeenLetter:
    return SeenLetter(of.source, reason, of.sha256, of.sha256)


def stored(results: tuple[SeenResult, ...], generation: int) -> StoredBatch:
    frames = tuple(
        StoredFrame(r.source, r.inspected_at.replace("Z", "+00:00"), r.weights_version, StoreStatus.STORED.value)
        for r in results
    )
    return StoredBatch(1, generation, frames)


FIRST, BAD, SECOND, THIRD = (
    frame(0, PredLabel.ANOMALOUS),
    frame(1, expected="rejected:undecodable"),
    frame(2, PredLabel.ANOMALOUS),
    frame(3),
)
RESULTS = (result(FIRST), result(SECOND), result(THIRD))
IN_ORDER = Evidence(
    truth=(FIRST, BAD, SECOND, THIRD),
    kept=KEPT,
    now_s=NOW_S,
    held={0: (0, 4)},
    notices=(SeenNotice("n1", "inspection.rejects"), SeenNotice("n2", "inspection.rejects")),
    alerts=(alert(FIRST, 0), alert(SECOND, 1)),
    letters=(letter(BAD),),
    results=RESULTS,
    committed={0: 4},
    journal=(stored(RESULTS, 7),),
)


def test_a_line_in_order_is_clean() -> None:
    found = compare(IN_ORDER, stub_verdict)
    assert found.clean, found.summary()
    assert (found.frames, found.alerts, found.dead_letters, found.results) == (4, 2, 1, 3)


@dataclass(frozen=True)
class Wrong:
    """One thing that is changed, and as what it must be found: each kind, and how often."""

    what: str
    change: Callable[[Evidence], Evidence]
    found: dict[Kind, int]


def _results(*kept: SeenResult) -> Callable[[Evidence], Evidence]:
    return lambda line: replace(line, results=kept)


def _second_alert(**other: str) -> Callable[[Evidence], Evidence]:
    return lambda line: replace(line, alerts=(line.alerts[0], replace(line.alerts[1], **other)))  # type: ignore[arg-type]


def _third_result(**other: str) -> Callable[[Evidence], Evidence]:
    return _results(*RESULTS[:2], replace(RESULTS[2], **other))  # type: ignore[arg-type]


WRONG = [
    Wrong("no outcome", lambda e: replace(e, results=RESULTS[:2], journal=()), {Kind.LOST: 1}),
    Wrong("no alert", lambda e: replace(e, alerts=e.alerts[:1]), {Kind.LOST: 1}),
    Wrong("no dead letter", lambda e: replace(e, letters=()), {Kind.LOST: 1}),
    Wrong("acknowledged, and not there", lambda e: replace(e, acked=[("f9", 0, 9), ("f3", 0, 3)]), {Kind.LOST: 1}),
    Wrong("two alerts", lambda e: replace(e, alerts=(*e.alerts, alert(SECOND, 2))), {Kind.DUPLICATED: 1}),
    Wrong("two dead letters", lambda e: replace(e, letters=(letter(BAD), letter(BAD))), {Kind.DUPLICATED: 1}),
    Wrong(
        "inspected and rejected",
        lambda e: replace(e, letters=(*e.letters, letter(THIRD))),
        {Kind.DUPLICATED: 1, Kind.WRONG_VERDICT: 1},
    ),
    Wrong("inspected and dropped", lambda e: replace(e, dropped=[THIRD.source]), {Kind.DUPLICATED: 1}),
    Wrong("alerts in turn", lambda e: replace(e, alerts=(alert(SECOND, 0), alert(FIRST, 1))), {Kind.OUT_OF_ORDER: 1}),
    Wrong(
        "a camera on two partitions",
        lambda e: replace(e, alerts=(e.alerts[0], replace(e.alerts[1], place=(1, 0)))),
        {Kind.OUT_OF_ORDER: 1},
    ),
    Wrong(
        "two weights in a batch",
        lambda e: replace(e, journal=(stored((RESULTS[0], replace(RESULTS[2], weights_version="w2")), 7),)),
        {Kind.MIXED_WEIGHTS: 1},
    ),
    Wrong(
        "another verdict",
        _results(*RESULTS[:2], replace(RESULTS[2], label="anomalous")),
        {Kind.WRONG_VERDICT: 1},
    ),
    Wrong("another score", _results(*RESULTS[:2], replace(RESULTS[2], score=0.499)), {Kind.WRONG_VERDICT: 1}),
    Wrong("another camera", _results(*RESULTS[:2], replace(RESULTS[2], camera_id="x")), {Kind.WRONG_VERDICT: 1}),
    Wrong(
        "the result of another frame",
        _results(*RESULTS[:2], replace(RESULTS[2], frame_id="x", filed_as="x")),
        {Kind.WRONG_VERDICT: 1},
    ),
    Wrong(
        "a result under another key", _results(*RESULTS[:2], replace(RESULTS[2], filed_as="x")), {Kind.WRONG_VERDICT: 1}
    ),
    Wrong(
        "the result of another part", _results(*RESULTS[:2], replace(RESULTS[2], part_id="x")), {Kind.WRONG_VERDICT: 1}
    ),
    Wrong("two results of one frame", _results(*RESULTS, RESULTS[2]), {Kind.DUPLICATED: 1}),
    Wrong("an alert of another frame's name", _second_alert(frame_id="f0"), {Kind.WRONG_VERDICT: 1}),
    Wrong("an alert of another camera", _second_alert(camera_id="x"), {Kind.WRONG_VERDICT: 1}),
    Wrong("an alert of another part", _second_alert(part_id="x"), {Kind.WRONG_VERDICT: 1}),
    Wrong("two alerts of one id", _second_alert(alert_id="a0", ce_id="a0"), {Kind.DUPLICATED: 1}),
    Wrong("an alert with another header", _second_alert(ce_id="a9"), {Kind.WRONG_VERDICT: 1}),
    Wrong("a notice twice", lambda e: replace(e, notices=(*e.notices, e.notices[0])), {Kind.DUPLICATED: 1}),
    Wrong(
        "a notice with the id of an alert",
        lambda e: replace(e, notices=(replace(e.notices[0], ce_id="a0"),)),
        {Kind.DUPLICATED: 1},
    ),
    Wrong("an event of another type", lambda e: replace(e, notices=(SeenNotice("n1", "x"),)), {Kind.UNKNOWN: 1}),
    Wrong("a hole in the truth", lambda e: replace(e, held={0: (0, 5), 1: (7, 9)}), {Kind.HOLE: 3}),
    Wrong("a truth that the topic has not", lambda e: replace(e, held={0: (0, 3)}), {Kind.HOLE: 1}),
    Wrong(
        "other bytes in a dead letter that says it has the right ones",
        lambda e: replace(e, letters=(replace(letter(BAD), content_sha256="0" * 64),)),
        {Kind.WRONG_VERDICT: 1},
    ),
    Wrong("an alert too many", lambda e: replace(e, alerts=(*e.alerts, alert(THIRD, 2))), {Kind.WRONG_VERDICT: 1}),
    Wrong("another reason", lambda e: replace(e, letters=(letter(BAD, "truncated"),)), {Kind.WRONG_VERDICT: 1}),
    Wrong(
        "other bytes in the dead letter",
        lambda e: replace(e, letters=(replace(letter(BAD), sha256="0" * 64),)),
        {Kind.WRONG_VERDICT: 1},
    ),
    Wrong(
        "a newer generation had stored it before",
        lambda e: replace(
            e, journal=(*e.journal, stored((replace(RESULTS[2], inspected_at="2025-12-31T23:59:59Z"),), 8))
        ),
        {Kind.OVERWRITTEN: 1},
    ),
    Wrong(
        "the alert is of other weights",
        lambda e: replace(e, journal=(), alerts=(e.alerts[0], replace(e.alerts[1], weights_version="w2"))),
        {Kind.OVERWRITTEN: 1},
    ),
    Wrong("an anomalous result is away", _results(RESULTS[0], RESULTS[2]), {Kind.MISSING_RESULT: 1}),
    Wrong("a normal result is away", _results(*RESULTS[:2]), {Kind.MISSING_RESULT: 1}),
    Wrong(
        "an alert of no frame",
        lambda e: replace(e, alerts=(*e.alerts, replace(alert(frame(9), 2), camera_id="x"))),
        {Kind.UNKNOWN: 1},
    ),
    Wrong("a result of no frame", _results(*RESULTS, result(frame(9))), {Kind.UNKNOWN: 1}),
    Wrong(
        "a dead letter of no frame", lambda e: replace(e, letters=(letter(BAD), letter(frame(9)))), {Kind.UNKNOWN: 1}
    ),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_one_thing_wrong_is_found_as_what_it_is(wrong: Wrong) -> None:
    found = compare(wrong.change(IN_ORDER), stub_verdict)
    assert dict(found.counts) == wrong.found
    assert set(found.examples) == set(wrong.found)
    assert not found.clean


def test_a_frame_beyond_the_committed_offset_is_open_and_a_line_that_was_to_be_drained_is_not_clean() -> None:
    found = compare(replace(IN_ORDER, truth=(*IN_ORDER.truth, frame(4)), held={0: (0, 5)}), stub_verdict)
    assert not found.counts
    assert found.open_frames == 1
    assert not found.clean


def test_an_outcome_beyond_the_committed_offset_is_judged_all_the_same() -> None:
    line = replace(IN_ORDER, committed={0: 2}, alerts=(*IN_ORDER.alerts, alert(SECOND, 2)))
    assert dict(compare(line, stub_verdict).counts) == {Kind.DUPLICATED: 1}


def test_what_retention_took_is_not_missing() -> None:
    aged = tuple(replace(each, timestamp_ms=round(1000 * (NOW_S - 4000))) for each in IN_ORDER.truth)
    by_age = compare(replace(IN_ORDER, truth=aged, results=RESULTS[:2]), stub_verdict)
    assert (by_age.clean, by_age.gone) == (True, 1)
    too_early = compare(replace(IN_ORDER, truth=aged, results=RESULTS[1:]), stub_verdict)
    assert dict(too_early.counts) == {Kind.MISSING_RESULT: 1}, "a defect is kept longer"


def test_by_count_only_the_first_to_arrive_may_be_gone() -> None:
    line = replace(IN_ORDER, kept=replace(KEPT, defect_per_camera=1))
    assert compare(replace(line, results=RESULTS[1:]), stub_verdict).clean
    found = compare(replace(line, results=(RESULTS[0], RESULTS[2])), stub_verdict)
    assert dict(found.counts) == {Kind.MISSING_RESULT: 1}


def test_of_frames_that_share_an_id_the_first_is_inspected_and_the_others_are_duplicates() -> None:
    again = replace(frame(4), frame_id=THIRD.frame_id, sha256=THIRD.sha256)
    line = replace(IN_ORDER, truth=(*IN_ORDER.truth, again), held={0: (0, 5)}, committed={0: 5})
    assert compare(replace(line, letters=(*line.letters, letter(again, "duplicate"))), stub_verdict).clean
    assert dict(compare(line, stub_verdict).counts) == {Kind.LOST: 1}
    swapped = replace(line, letters=(*line.letters, letter(THIRD, "duplicate")), results=(*RESULTS[:2], result(again)))
    assert set(compare(swapped, stub_verdict).counts) == {Kind.WRONG_VERDICT}


def test_a_dropped_frame_has_its_outcome_and_its_repetition_is_no_duplicate() -> None:
    again = replace(frame(4), frame_id=THIRD.frame_id, sha256=THIRD.sha256)
    line = replace(
        IN_ORDER, truth=(*IN_ORDER.truth, again), held={0: (0, 5)}, committed={0: 5}, journal=(), dropped=[THIRD.source]
    )
    assert compare(replace(line, results=(*RESULTS[:2], result(again))), stub_verdict).clean


def test_a_repaired_alert_may_come_late() -> None:
    late = replace(alert(FIRST, 1), repaired=True)
    assert compare(replace(IN_ORDER, alerts=(alert(SECOND, 0), late)), stub_verdict).clean


def test_a_repaired_result_may_be_of_other_weights_than_its_alert() -> None:
    again = replace(RESULTS[0], weights_version="w2", inspected_at="2026-01-02T00:00:00Z")
    assert dict(compare(replace(IN_ORDER, results=(again, *RESULTS[1:])), stub_verdict).counts) == {Kind.OVERWRITTEN: 1}
    assert compare(replace(IN_ORDER, results=(replace(again, repaired=True), *RESULTS[1:])), stub_verdict).clean


def test_without_a_stub_alerts_and_results_are_held_against_each_other() -> None:
    assert compare(IN_ORDER, None).clean
    found = compare(replace(IN_ORDER, alerts=IN_ORDER.alerts[:1]), None)
    assert dict(found.counts) == {Kind.LOST: 1}


@pytest.mark.parametrize(("evidence", "code"), [(IN_ORDER, 0), (replace(IN_ORDER, alerts=IN_ORDER.alerts[:1]), 1)])
def test_the_command_prints_every_kind_and_ends_with_1_if_anything_is_wrong(
    evidence: Evidence, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (truth := tmp_path / "truth.jsonl").touch()
    monkeypatch.setattr(checker, "gather", lambda *_: evidence)
    monkeypatch.setattr("sys.argv", ["checker.py", "--truth", str(truth)])
    assert checker.main() == code
    printed = capsys.readouterr().out
    assert all(kind.value in printed for kind in Kind)
    assert ("f2 (0/2): anomalous, and no alert" in printed) is bool(code)


@pytest.mark.parametrize("mistyped", [["--truth=no"], ["--acked=no"], ["--journal=no"], ["--journal=."]])
def test_the_command_refuses_what_is_not_there(
    mistyped: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("truth.jsonl").touch()
    monkeypatch.setattr(checker, "gather", lambda *_: IN_ORDER)
    monkeypatch.setattr("sys.argv", ["checker.py", "--truth=truth.jsonl", *mistyped])
    with pytest.raises(SystemExit, match="2"):
        checker.main()


def test_a_few_examples_stand_for_many() -> None:
    found = compare(replace(IN_ORDER, truth=tuple(frame(n) for n in range(4, 40)), committed={0: 40}), stub_verdict)
    assert found[Kind.LOST] == 36
    assert 0 < len(found.examples[Kind.LOST]) < 36
