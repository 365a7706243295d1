"""Which frames are kept: a fair draw of normals, the least certain, what people spoke of whatever else has to go."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_kit import LIMITS, T0, sample

from inspector.domain.sample import Sample, SampleKind
from inspector.pipeline.sample_choice import (
    Candidate,
    Refusal,
    SampleLimits,
    admit,
    beyond_limits,
    kept_bytes,
    most_looked_at,
    worth_fetching,
)

FEEDBACK, NORMAL, UNCERTAIN = SampleKind.FEEDBACK, SampleKind.NORMAL, SampleKind.UNCERTAIN


def fill(incoming: list[Sample], limits: SampleLimits) -> list[Sample]:
    """Offer samples one after the other and return what is kept."""
    kept: dict[str, Sample] = {}
    for new in incoming:
        others = [old for old in kept.values() if old.frame_id != new.frame_id]
        admission = admit(others, new, sum(map(kept_bytes, others)), limits)
        if admission.refusal is None:
            for gone in admission.evict:
                del kept[gone.frame_id]
            kept[new.frame_id] = new
        assert sum(map(kept_bytes, kept.values())) <= limits.max_bytes
    return list(kept.values())


def normals(count: int, **changes: object) -> list[Sample]:
    return [sample(f"f{number}", f"image {number}".encode(), **changes) for number in range(count)]


@settings(deadline=None, max_examples=15)
@given(order=st.permutations(range(40)), again=st.lists(st.integers(0, 39)))
def test_the_reservoir_hangs_on_neither_order_nor_repetition(order: list[int], again: list[int]) -> None:
    limits = replace(LIMITS, normals_per_camera=7)
    offered = normals(40)
    expected = {kept.frame_id for kept in fill(offered, limits)}
    assert len(expected) == 7
    assert {kept.frame_id for kept in fill([offered[place] for place in (*order, *again)], limits)} == expected


def test_every_frame_has_the_same_chance_whenever_it_came() -> None:
    limits, times = replace(LIMITS, normals_per_camera=5), [0] * 4
    for seed in range(100):
        for kept in fill(normals(20), replace(limits, seed=seed)):
            times[int(kept.frame_id[1:]) // 5] += 1
    # 500 draws over four quarters: 125 each, with a standard deviation of at most 10.
    assert sum(times) == 500
    assert all(85 < drawn < 165 for drawn in times)


def test_each_camera_has_a_reservoir_of_its_own() -> None:
    limits = replace(LIMITS, normals_per_camera=3)
    both = [*normals(50), *(sample(f"g{number}", f"other {number}".encode(), camera_id="cam2") for number in range(2))]
    kept = fill(both, limits)
    assert [sum(one.camera_id == camera for one in kept) for camera in ("cam1", "cam2")] == [3, 2]


def test_the_least_certain_stay_and_those_of_the_weights_in_use_go_before_older_ones() -> None:
    limits = replace(LIMITS, uncertain_per_camera=2)
    old = [
        sample(f"old{number}", f"{number}".encode(), kind=UNCERTAIN, anomaly_score=0.5 + number / 100, kept_at=T0)
        for number in range(4)
    ]
    assert {kept.frame_id for kept in fill(old, limits)} == {"old0", "old1"}
    newer = {"kind": UNCERTAIN, "weights_version": "cd" * 32, "kept_at": T0 + timedelta(days=1)}
    new = [sample(f"new{number}", f"n{number}".encode(), anomaly_score=0.4, **newer) for number in range(2)]
    assert {kept.frame_id for kept in fill([*old, new[0]], limits)} == {"old0", "new0"}
    assert {kept.frame_id for kept in fill([*old, *new], limits)} == {"new0", "new1"}


def test_pictures_that_look_alike_give_way_to_others_and_the_very_same_one_is_kept_once() -> None:
    limits = replace(LIMITS, normals_per_camera=4, phash_distance=2)
    # A belt that stands still: the same look, with noise.
    still = [sample(f"still{number}", f"s{number}".encode(), phash=f"{number % 2:016x}") for number in range(30)]
    others = [
        sample(f"f{number}", f"{number}".encode(), phash=f"{0xFF << (8 * number + 8):016x}") for number in range(3)
    ]
    kept = fill([*still, *others], limits)
    assert len(kept) == 4
    assert {one.frame_id for one in kept} >= {"f0", "f1", "f2"}
    assert len(fill(still, limits)) == 4  # where nothing looks different, they are better than nothing
    twin = replace(others[0], frame_id="again")
    assert admit(others, twin, 0, limits).refusal is Refusal.SAME_PICTURE
    alike = replace(others[0], frame_id="alike", sha256="0" * 64)
    assert admit([*others, still[0]], alike, 0, limits).refusal is Refusal.ALIKE
    assert admit([*others, still[0]], replace(alike, product="lid"), 0, limits).refusal is not Refusal.ALIKE


def test_a_defect_too_small_for_the_hash_is_never_taken_for_a_twin() -> None:
    limits = replace(LIMITS, phash_distance=8)
    good = sample("good", b"without")
    for kind in (FEEDBACK, UNCERTAIN):
        assert admit([good], sample("bad", b"with a scratch", kind=kind, phash=good.phash), 0, limits).refusal is None
    said = [sample(f"said{number}", f"{number}".encode(), kind=FEEDBACK, phash=good.phash) for number in range(5)]
    assert len(fill([good, *said, replace(said[0], frame_id="same bytes")], limits)) == 7


def test_what_people_spoke_of_is_the_last_to_go_and_the_fullest_camera_gives_first() -> None:
    one = kept_bytes(sample("f00", b"x" * 1000, kind=FEEDBACK))
    limits = replace(LIMITS, max_bytes=10 * one)
    many = [sample(f"f{number:02}", bytes([number]) * 1000) for number in range(6)]
    few = [sample(f"g{number:02}", bytes([number + 50]) * 1000, camera_id="cam2") for number in range(2)]
    unsure = [sample(f"u{number}", bytes([number + 90]) * 1000, kind=UNCERTAIN) for number in range(2)]
    kept = fill([*unsure, *many, *few], limits)
    said = [sample(f"s{number:02}", bytes([number + 150]) * 1000, kind=FEEDBACK) for number in range(12)]
    for number, expected in ((2, "m6 u0 c2"), (6, "m2 u0 c2"), (8, "m1 u0 c1"), (10, "m0 u0 c0"), (12, "m0 u0 c0")):
        now = fill([*kept, *said[:number]], limits)
        counts = (
            sum(one.kind is NORMAL and one.camera_id == "cam1" for one in now),
            sum(one.kind is UNCERTAIN for one in now),
            sum(one.camera_id == "cam2" for one in now),
        )
        assert "m{} u{} c{}".format(*counts) == expected
        # Of what people spoke of the first stays: nobody can push it out by saying more.
        assert [one.frame_id for one in now if one.kind is FEEDBACK] == [f"s{n:02}" for n in range(min(number, 10))]


def test_a_frame_worth_less_than_all_that_is_kept_finds_no_room() -> None:
    ranked = fill(normals(8), replace(LIMITS, normals_per_camera=7))
    [worst] = [one for one in normals(8) if one not in ranked]
    used = sum(map(kept_bytes, ranked))
    refused = admit(ranked, worst, used, replace(LIMITS, max_bytes=used + 10))
    assert (refused.refusal, refused.evict) == (Refusal.BUDGET, ())
    unsure = sample("u", b"unsure", kind=UNCERTAIN)
    assert admit(ranked, unsure, used, replace(LIMITS, max_bytes=used)).refusal is Refusal.BUDGET


def test_a_frame_that_fits_nowhere_is_refused_and_pushes_nothing_out() -> None:
    kept = [sample("f1", b"x" * 1000), sample("f2", b"y" * 1000, kind=FEEDBACK)]
    used = sum(map(kept_bytes, kept))
    large = sample("large", b"z" * 100_000, kind=FEEDBACK)
    refused = admit(kept, large, used, replace(LIMITS, max_bytes=used))
    assert (refused.refusal, refused.evict) == (Refusal.BUDGET, ())


def test_lowered_limits_let_the_rest_go_but_nothing_people_spoke_of() -> None:
    kept = [*normals(9), *(sample(f"s{n}", f"s{n}".encode(), kind=FEEDBACK) for n in range(3))]
    going = beyond_limits(kept, 0, replace(LIMITS, normals_per_camera=4))
    assert len(going) == 5
    assert all(one.kind is NORMAL for one in going)
    assert {one.frame_id for one in kept[:9]} - {one.frame_id for one in going} == {
        one.frame_id for one in fill(kept[:9], replace(LIMITS, normals_per_camera=4))
    }
    assert len(beyond_limits(kept, 10**12, LIMITS)) == 9


@pytest.mark.parametrize("kind", [NORMAL, UNCERTAIN])
def test_only_frames_that_may_be_kept_are_fetched(kind: SampleKind) -> None:
    limits = replace(LIMITS, normals_per_camera=5, uncertain_per_camera=5)
    rng = random.Random(0)
    candidates = [Candidate(f"f{number}", rng.random() / 2) for number in range(200)]
    first = worth_fetching([], candidates, kind, limits)
    assert len(first) == 200
    assert most_looked_at(kind, limits) == 10
    made = [
        sample(one.frame_id, one.frame_id.encode(), kind=kind, anomaly_score=0.5 + one.margin) for one in candidates
    ]
    kept = fill(made, limits)
    assert {one.frame_id for one in kept} == {one.frame_id for one in first[:5]}
    rest = [one for one in candidates if one.frame_id not in {kept.frame_id for kept in kept}]
    assert worth_fetching(kept, rest, kind, limits) == []
    assert worth_fetching(kept[:4], rest, kind, limits)[0] == next(one for one in first if one in rest)
    assert worth_fetching([], candidates, kind, replace(limits, normals_per_camera=0, uncertain_per_camera=0)) == []
