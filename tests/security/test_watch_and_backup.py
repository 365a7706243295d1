"""Two roles on real servers: who watches changes nothing, and who backs up does that and no more."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from kafka import errors
from kafka.structs import OffsetAndMetadata, TopicPartition
from secured import ADMIN, Secured, run

from inspector.adapters.artefacts import version_of
from inspector.adapters.kafka.connection import admin_client
from inspector.adapters.kafka.group_offsets import group_offsets
from inspector.adapters.redis import keys
from inspector.adapters.redis.trainer_runs import RedisTrainerRuns
from inspector.apps.backup.archive import reading, writing
from inspector.apps.backup.records import LineRecords, VetoedVersion
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.errors import CredentialsError
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.release import WeightsRelease
from inspector.domain.result import PredLabel

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

NOW = datetime.now(UTC).replace(microsecond=0)
BANK, WEIGHTS, MASK = b"a bank", b"some weights", b"a mask"
SEEN_BY_THE_WATCH = (
    keys.result("f"), keys.frame("f"), keys.regions("f"), keys.good_index("c"), keys.defect_index("c"),
    keys.good_arrivals("c"), keys.defect_arrivals("c"), keys.seen("f"), keys.CAMERAS, keys.artefact("v"),
    keys.TRAINER_RUNS, keys.TRAINER_LOOKED,
)  # fmt: skip
HIDDEN_FROM_IT = (
    keys.overlay("f"), keys.mask("f"), keys.stream("c"), keys.fence("g", "t", 0), keys.stored("g", "t", 0),
    keys.decoding("g", "t", 0), keys.rollout_veto("v"), keys.feedback_mask("v"),
)  # fmt: skip
WRITES: tuple[Callable[[Any, str], object], ...] = (
    lambda client, key: client.set(key, b"x"),
    lambda client, key: client.unlink(key),
    lambda client, key: client.delete(key),
    lambda client, key: client.expire(key, 1),
    lambda client, key: client.zadd(key, {"f": 1.0}),
    lambda client, key: client.lpush(key, b"v"),
)


@pytest.mark.parametrize("key", SEEN_BY_THE_WATCH)
def test_who_watches_writes_no_key_that_he_reads(secured: Secured, key: str) -> None:
    client = secured.redis("watch")
    for write in WRITES:
        with pytest.raises(redis.exceptions.NoPermissionError):
            write(client, key)
    client.close()


def test_nor_by_a_script_nor_in_the_way_of_the_trainer(secured: Secured) -> None:
    client, admin = secured.redis("watch"), secured.redis(ADMIN)
    admin.set(keys.seen("kept"), b"t:0:0")
    reads = client.script_load("return redis.call('GET', KEYS[1])")
    assert client.evalsha_ro(reads, 1, keys.seen("kept")) == b"t:0:0"
    for command in ("'SET', KEYS[1], 'x'", "'UNLINK', KEYS[1]"):
        writes = client.script_load(f"return redis.call({command})")
        with pytest.raises(redis.exceptions.ResponseError):
            client.evalsha_ro(writes, 1, keys.seen("kept"))
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.evalsha(writes, 1, keys.seen("kept"))
    assert admin.get(keys.seen("kept")) == b"t:0:0"
    admin.delete(keys.seen("kept"))
    with pytest.raises(CredentialsError):
        RedisTrainerRuns(client).looked()
    client.close()
    admin.close()


@pytest.mark.parametrize("key", HIDDEN_FROM_IT)
def test_who_watches_sees_no_key_that_he_has_no_use_for(secured: Secured, key: str) -> None:
    client = secured.redis("watch")
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.get(key)
    client.close()


@pytest.mark.parametrize("role", ["watch", "backup"])
def test_neither_moves_the_group_s_offsets(secured: Secured, role: str) -> None:
    frames = TopicPartition("inspection.frames", 0)
    with admin_client(secured.connection(ADMIN)) as admin:
        group_offsets(admin, "inspectors", [frames])  # a fresh broker makes its coordinator only now
    with admin_client(secured.connection(role)) as admin:
        try:
            answer = admin.alter_group_offsets("inspectors", {frames: OffsetAndMetadata(10**6, "", -1)})[frames]
        except errors.AuthorizationError as refused:  # where not even the group's coordinator may be asked for
            answer = type(refused)
    assert issubclass(answer, errors.AuthorizationError), answer


def test_a_line_is_restored_and_backed_up_by_the_role_that_is_for_it(secured: Secured, tmp_path: Path) -> None:
    """Nothing of it is there before, so each kind of record and artefact is written, and read again."""
    mine = uuid.uuid4().hex[:8]
    records = LineRecords(
        (Announcement(ArtefactKind.BANK, f"cam-{mine}", version_of(BANK), NOW, "w2"),),
        (WeightsRelease(f"w-{mine}", version_of(WEIGHTS), "m", NOW),),
        None,  # it lies on the topic of the releases, and other tests' inspectors would follow it
        (
            Feedback(
                f"f-{mine}", f"cam-{mine}", "w2", FeedbackVerdict.WRONG, "anna", NOW, PredLabel.NORMAL, "dent",
                mask_version=version_of(MASK),
            ),
        ),
        (VetoedVersion(f"w-{mine}", "slow", "a", NOW),),
    )  # fmt: skip
    with writing(tmp_path / "kept.tar", NOW) as writer:
        writer.add_records(records)
        for folder, data in (("artefacts", BANK), ("artefacts", WEIGHTS), ("masks", MASK)):
            writer.add(f"{folder}/{version_of(data)}", data)
        writer.finish()
    config = secured.settings_file("backup")

    restored = run(config, "restore", str(tmp_path / "kept.tar"), "--json")
    backed_up = run(config, "backup", str(tmp_path / "again.tar"), "--json")

    assert restored.returncode == 0, restored.stderr
    done = json.loads(restored.stdout)
    assert [done[kind] for kind in ("announcements", "releases", "feedback", "vetoes")] == [1, 1, 1, 1]
    assert (tmp_path / "again.tar").exists(), backed_up.stderr  # exit code 1 where others' artefacts are missing
    with reading(tmp_path / "again.tar") as again:
        found = again.records()
        assert {BANK, WEIGHTS} <= set(again.artefacts("artefacts"))
        assert MASK in set(again.artefacts("masks"))
    assert set(records.announcements) <= set(found.announcements)
    assert set(records.releases) <= set(found.releases)
    assert set(records.feedback) <= set(found.feedback)
    assert f"w-{mine}" in {veto.version for veto in found.vetoes}


def test_who_may_publish_weights_restores_nothing(secured: Secured, tmp_path: Path) -> None:
    """No other role has all that it takes; this one comes nearest."""
    with writing(tmp_path / "kept.tar", NOW) as writer:
        writer.add_records(LineRecords((Announcement(ArtefactKind.BANK, "cam1", version_of(BANK), NOW, "w2"),)))
        writer.add(f"artefacts/{version_of(BANK)}", BANK)
        writer.finish()
    done = run(secured.settings_file("release"), "restore", str(tmp_path / "kept.tar"))
    assert done.returncode == 1, done.stdout
    assert "inspection.config" in done.stderr
