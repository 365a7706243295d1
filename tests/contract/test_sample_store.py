"""One suite for every place of samples: a folder, an S3 server, memory. What comes back is whole, or nothing does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from s3_servers import S3Server
from sample_kit import LIMITS, sample

from inspector.adapters.samples import store as store_module
from inspector.adapters.samples.index import folder_of
from inspector.adapters.samples.objects import Objects, S3Access, in_folder, in_memory, in_s3
from inspector.adapters.samples.store import ObjectSampleStore
from inspector.domain.errors import BadInputError, CredentialsError, ServiceUnavailableError
from inspector.domain.records import to_json
from inspector.domain.sample import Sample, SampleKind, feedback_part, mask_part
from inspector.pipeline.sample_choice import Refusal, SampleLimits, kept_bytes

MAX_IMAGE_BYTES = 100_000
IMAGE = b"\xff\xd8\xff an image" * 50

Place = Callable[[], Objects]
"""Opens the same place each time, as another process would."""


@pytest.fixture(params=["memory", "folder", "s3", pytest.param("other_s3", marks=pytest.mark.long)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "memory":
        one = in_memory()
        return lambda: one
    if request.param == "folder":
        return lambda: in_folder(tmp_path / "samples")
    server = request.getfixturevalue(request.param)
    url = f"s3://{server.bucket()}/of/the/plant"
    access = S3Access(server.endpoint, "us-east-1", server.access_key_id, server.secret_access_key)
    return lambda: in_s3(url, access)


def opened(place: Place, limits: SampleLimits = LIMITS) -> ObjectSampleStore:
    return ObjectSampleStore(place(), limits, MAX_IMAGE_BYTES)


def names(place: Place) -> set[str]:
    return {found.name for found in place().list()}


def folder(of: Sample) -> str:
    return folder_of(of.camera_id, of.frame_id)


def test_what_is_put_comes_back_to_whoever_opens_the_place(place: Place) -> None:
    new = sample("f1", IMAGE, kind=SampleKind.FEEDBACK)
    parts = {feedback_part("abc"): b'{"verdict":"wrong"}', mask_part("abc"): b"\x89PNG" * 9, "empty": b""}
    assert opened(place).put(new, IMAGE, parts)
    store = opened(place)
    [kept] = store.samples()
    assert replace(kept, parts=()) == new
    assert store.image(kept) == IMAGE
    assert {part.name: store.part(kept, part.name) for part in kept.parts} == parts
    assert store.part(kept, mask_part("another")) is None
    assert store.used_bytes() == kept_bytes(kept) == sum(found.size_bytes for found in place().list())
    assert not list(store.damage())


@pytest.mark.long
def test_a_wrong_secret_is_told(other_s3: S3Server) -> None:
    access = S3Access(other_s3.endpoint, "us-east-1", other_s3.access_key_id, "another secret")
    objects = in_s3(f"s3://{other_s3.bucket()}", access)
    for act in (lambda: objects.put("a", b"x"), lambda: list(objects.list()), lambda: objects.get("a", 10)):
        with pytest.raises(CredentialsError, match="access_key_id"):
            act()


def test_samples_come_by_camera_and_frame(place: Place) -> None:
    store = opened(place)
    for frame_id, camera_id in (("f2", "cam2"), ("f1", "cam2"), ("f3", "cam1")):
        assert store.put(sample(frame_id, frame_id.encode(), camera_id=camera_id), frame_id.encode())
    assert [kept.frame_id for kept in store.samples()] == ["f3", "f1", "f2"]
    assert [kept.frame_id for kept in opened(place).samples("cam2")] == ["f1", "f2"]
    assert [kept.frame_id for kept in store.samples("cam3")] == []


def test_a_later_put_of_a_frame_replaces_the_earlier_and_leaves_none_of_its_bytes(place: Place) -> None:
    store = opened(place)
    first = sample("f1", IMAGE)
    assert store.put(first, IMAGE, {feedback_part("a"): b"said first", mask_part("a"): b"drawn first"})
    later = replace(first, kind=SampleKind.FEEDBACK)
    assert store.put(later, IMAGE, {feedback_part("a"): b"said later"})
    [kept] = opened(place).samples()
    assert kept.kind is SampleKind.FEEDBACK
    assert store.part(kept, feedback_part("a")) == b"said later"
    assert len(names(place)) == 3


def test_a_frame_is_not_in_the_way_of_itself(place: Place) -> None:
    one = sample("f1", IMAGE)
    room = replace(LIMITS, max_bytes=kept_bytes(one) + 40, normals_per_camera=1)
    store = opened(place, room)
    for again in (one, one, replace(one, kind=SampleKind.UNCERTAIN), replace(one, kind=SampleKind.FEEDBACK)):
        assert store.offer(again, IMAGE) is None
    assert [kept.kind for kept in opened(place).samples()] == [SampleKind.FEEDBACK]


def test_an_image_that_is_not_the_samples_is_refused(place: Place) -> None:
    store = opened(place)
    for image, said in ((b"another", sample("f1", IMAGE)), (b"x" * 200_000, sample("f1", b"x" * 200_000))):
        with pytest.raises(BadInputError):
            store.put(said, image)
    with pytest.raises(BadInputError):
        store.put(sample("f1", IMAGE), IMAGE, {mask_part("a"): bytes(2**26 + 1)})
    with pytest.raises(BadInputError):
        store.put(sample("f1", IMAGE), IMAGE, {"../x": b""})
    assert names(place) == set()


def test_a_part_may_be_larger_than_images_are(place: Place) -> None:
    store = opened(place)
    store.put(sample("f1", IMAGE), IMAGE, {mask_part("a"): bytes(2 * MAX_IMAGE_BYTES)})
    [kept] = store.samples()
    assert len(store.part(kept, mask_part("a")) or b"") == 2 * MAX_IMAGE_BYTES
    assert not list(store.damage())


def test_what_is_removed_is_gone_and_may_be_removed_again(place: Place) -> None:
    store = opened(place)
    one, other = sample("f1", IMAGE), sample("f2", IMAGE + b"2")
    store.put(one, IMAGE, {"part": b"x"})
    store.put(other, IMAGE + b"2")
    for _ in range(2):
        opened(place).remove(one)
    assert list(store.samples()) == [other]
    assert {name.rpartition("/")[0] for name in names(place)} == {folder(other)}


@pytest.mark.parametrize("kind", [SampleKind.NORMAL, SampleKind.FEEDBACK])
def test_ids_never_become_paths(place: Place, kind: SampleKind, tmp_path: Path) -> None:
    store = opened(place)
    ids = ["../../outside", "/etc/passwd", "a/b", "..", "C:\\x", "a" * 128, "ä#1", "%2e%2e/x", "."]
    for number, name in enumerate(ids):
        image = b"image %d" % number
        assert store.put(sample(name, image, camera_id=name, kind=kind), image)
    assert {kept.frame_id for kept in opened(place).samples()} == set(ids)
    assert not list(tmp_path.glob("outside")), "nothing is written beside the folder"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda image: bytes([image[0] ^ 1]) + image[1:], "hash"),
        (lambda image: image[:-1], "cut short"),
        (lambda image: b"", "cut short"),
        (None, "missing"),
    ],
    ids=["flipped bit", "truncated", "emptied", "deleted"],
)
def test_a_damaged_image_never_comes_back_and_putting_the_frame_again_heals_it(
    place: Place, harm: Callable[[bytes], bytes] | None, words: str
) -> None:
    bad, good = sample("bad", IMAGE), sample("good", IMAGE + b"!")
    store = opened(place)
    store.put(bad, IMAGE)
    store.put(good, IMAGE + b"!")
    name = f"{folder(bad)}/{bad.sha256}"
    if harm is None:
        place().delete(name)
    else:
        place().put(name, harm(IMAGE))
    store = opened(place)
    with pytest.raises(BadInputError):
        store.image(bad)
    [damage] = store.damage()
    assert damage.folder == folder(bad)
    assert words in damage.problem
    assert store.image(good) == IMAGE + b"!"
    store.discard([damage])
    assert list(store.samples()) == [good]
    assert store.put(bad, IMAGE)
    assert store.image(bad) == IMAGE
    assert not list(opened(place).damage())


def test_a_damaged_part_is_told_and_never_comes_back(place: Place) -> None:
    store = opened(place)
    store.put(sample("f1", IMAGE, kind=SampleKind.FEEDBACK), IMAGE, {mask_part("a"): b"mask"})
    [kept] = store.samples()
    place().put(f"{folder(kept)}/{kept.parts[0].sha256}", b"mosk")
    with pytest.raises(BadInputError, match="hash"):
        store.part(kept, mask_part("a"))
    assert [found.sample for found in store.damage()] == [kept]


def _metadata(**changes: object) -> bytes:
    return json.dumps(json.loads(to_json(sample("f1", IMAGE))) | changes).encode()


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"\x00\xff",
        b"[" * 60_000,
        b"x" * 1_000_000,
        b"{}",
        _metadata(schema="inspection.sample/2"),
        _metadata(frame_id="f2"),
        _metadata(camera_id="\x1b[31m"),
        _metadata(sha256="../../../etc/passwd"),
        _metadata(size_bytes=-1),
        _metadata(size_bytes=10**15),
        _metadata(anomaly_score="NaN"),
        _metadata(captured_at="2026-01-01T00:00:00"),
        _metadata(parts=[{"name": "../x", "sha256": "0" * 64, "size_bytes": 1}]),
        _metadata(kind="poison"),
        _metadata(colour="x" * 100_000),
    ],
)
def test_metadata_may_be_anything(place: Place, metadata: bytes) -> None:
    good = sample("good", IMAGE + b"!")
    opened(place).put(good, IMAGE + b"!")
    bad = folder_of("cam1", "f1")
    place().put(f"{bad}/sample.json", metadata)
    place().put(f"{bad}/{hashlib.sha256(IMAGE).hexdigest()}", IMAGE)
    store = opened(place)
    assert list(store.samples()) == [good]
    damaged = list(store.damage())
    assert [found.folder for found in damaged] == [bad]
    assert all(char.isprintable() for char in damaged[0].problem)
    store.discard(damaged)
    assert {name.rpartition("/")[0] for name in names(place)} == {folder(good)}


def test_a_release_with_more_fields_is_read(place: Place) -> None:
    new = sample("f1", IMAGE)
    opened(place).put(new, IMAGE)
    place().put(f"{folder(new)}/sample.json", _metadata(schema="inspection.sample/1.4", colour="blue"))
    assert [kept.frame_id for kept in opened(place).samples()] == ["f1"]


def test_what_others_keep_there_is_not_counted_not_read_and_not_deleted(place: Place) -> None:
    theirs = {
        "readme.txt",
        "0123/sample.json",
        f"{'a' * 16}/{'b' * 32}/notes.txt",
        f"{'A' * 16}/{'b' * 32}/sample.json",
    }
    for name in theirs:
        place().put(name, b"not ours")
    store = opened(place, replace(LIMITS, max_bytes=1))
    assert store.used_bytes() == 0
    assert list(store.samples()) == []
    assert list(store.damage()) == []
    assert (store.sweep(), store.trim()) == (0, 0)
    assert names(place) == theirs


def test_the_budget_holds_and_what_people_spoke_of_goes_last(place: Place) -> None:
    images = {f"f{number}": b"%04d" % number * 500 for number in range(12)}
    one = kept_bytes(sample("f10", images["f10"], kind=SampleKind.FEEDBACK))
    store = opened(place, replace(LIMITS, max_bytes=5 * one))
    for frame_id, image in images.items():
        kind = SampleKind.FEEDBACK if int(frame_id[1:]) % 4 == 0 else SampleKind.NORMAL
        store.put(sample(frame_id, image, kind=kind), image)
        assert store.used_bytes() <= 5 * one
    kept = list(opened(place).samples())
    assert {"f0", "f4", "f8"} <= {one.frame_id for one in kept}
    assert len(kept) == 5
    assert store.offer(sample("large", b"y" * 90_000, kind=SampleKind.FEEDBACK), b"y" * 90_000) is Refusal.BUDGET
    assert list(store.samples()) == kept
    assert opened(place, replace(LIMITS, max_bytes=4 * one)).trim() == 1
    assert {"f0", "f4", "f8"} <= {one.frame_id for one in store.samples()}


def test_a_refused_frame_leaves_what_was_kept_of_it(place: Place) -> None:
    store = opened(place, replace(LIMITS, max_bytes=3_000))
    small = sample("f1", IMAGE, kind=SampleKind.FEEDBACK)
    store.put(small, IMAGE)
    assert store.offer(small, IMAGE, {mask_part("a"): b"m" * 5_000}) is Refusal.BUDGET
    assert list(opened(place).samples()) == [small]
    assert store.image(small) == IMAGE


class _FailsAt(Objects):
    """Fails as a disk that is full does, from the n-th write on."""

    def __init__(self, under: Objects, writes: int) -> None:
        super().__init__(under._store, under.where, under._folder)
        self._left = writes

    def put(self, name: str, data: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            raise ServiceUnavailableError("room", "none", "make room")
        super().put(name, data)


@pytest.mark.parametrize("writes", range(4))
@pytest.mark.parametrize("known", [False, True], ids=["new", "again"])
def test_a_put_that_fails_leaves_nothing_half_written(place: Place, writes: int, known: bool) -> None:
    before = sample("f1", IMAGE)
    if known:
        opened(place).put(before, IMAGE, {"result.json": b"{}"})
    held = names(place)
    store = ObjectSampleStore(_FailsAt(place(), writes), LIMITS, MAX_IMAGE_BYTES)
    later = replace(before, kind=SampleKind.FEEDBACK)
    with pytest.raises(ServiceUnavailableError):
        store.put(later, IMAGE, {"result.json": b"[1]", feedback_part("a"): b"wrong"})
    assert names(place) == held
    assert [kept.kind for kept in opened(place).samples()] == [SampleKind.NORMAL] * known
    assert not list(opened(place).damage())


def test_bytes_of_a_killed_put_are_no_sample_and_are_swept_up_when_none_can_be_under_way(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, half = sample("whole", IMAGE), sample("half", IMAGE)
    store = opened(place)
    store.put(whole, IMAGE)
    place().put(f"{folder(half)}/{half.sha256}", IMAGE)
    place().put(f"{folder(whole)}/{'0' * 64}", b"of an earlier put")
    assert list(store.samples()) == [whole]
    assert list(store.damage()) == []
    assert store.sweep() == 0, "it may be under way"
    monkeypatch.setattr(store_module, "_GRACE", timedelta(seconds=-2))
    assert store.sweep() == 2
    assert {name.rpartition("/")[0] for name in names(place)} == {folder(whole)}
    assert store.image(whole) == IMAGE


def test_gatherers_at_once_leave_whole_samples_only(place: Place) -> None:
    limits = replace(LIMITS, normals_per_camera=6)
    problems: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            store = opened(place, limits)
            for number in range(12):
                image = b"image %d" % number
                said = {feedback_part(str(worker)): b"by %d" % worker}
                kind = SampleKind.FEEDBACK if number % 3 == 0 else SampleKind.NORMAL
                store.put(sample(f"f{number}", image, kind=kind), image, said)
                if number % 4 == worker:
                    store.remove(sample(f"f{number}", image))
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    store = opened(place, limits)
    # One may have removed a frame while another put it: then it is told as damaged, and never served.
    store.discard(list(store.damage()))
    kept = list(store.samples())
    # Nobody removes these, and of the normal ones no six others draw lower numbers: how many more stay, luck decides.
    assert {"f3", "f7", "f11"} <= {one.frame_id for one in kept}
    for one in kept:
        assert hashlib.sha256(store.image(one)).hexdigest() == one.sha256
        assert store.part(one, one.parts[0].name) == b"by %d" % int(one.parts[0].name[9])
    assert not list(store.damage())
