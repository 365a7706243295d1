"""What a role may not do, on real servers: the rights of deploy/security/roles.yaml are the least, not a suggestion."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import redis
from kafka import KafkaProducer, errors
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    OffsetSpec,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.structs import TopicPartition
from sample_kit import result
from secured import ACCESS, ADMIN, ROLES, Secured, run

from inspector.adapters.kafka import clients
from inspector.adapters.kafka.build import build
from inspector.adapters.kafka.committed import complete_since
from inspector.adapters.kafka.connection import admin_client
from inspector.adapters.kafka.group_offsets import group_offsets
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.redis import keys
from inspector.adapters.redis.results import RedisResults
from inspector.adapters.redis.trainer_lock import Busy, Lease, TrainerLock
from inspector.adapters.redis.trainer_runs import RedisTrainerRuns
from inspector.domain.errors import BadInputError, CredentialsError
from inspector.domain.frame import FrameSource
from inspector.domain.records import to_json
from inspector.settings.sections import KafkaSettings

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

TOPICS = {
    "frames": "inspection.frames",
    "alerts": "inspection.alerts",
    "dead_letter": "inspection.dead-letter",
    "config": "inspection.config",
    "feedback": "inspection.feedback",
    "weights": "inspection.weights",
}
READERS = {
    "frames": {"inspector", "reconcile", "trainer", "watch"},
    "alerts": {"operator", "reconcile", "watch"},
    "dead_letter": {"operator", "reconcile", "trainer", "watch"},
    "config": {"inspector", "operator", "setup", "release", "trainer", "reconcile", "backup"},
    "feedback": {"operator", "release", "trainer", "backup"},
    "weights": {"inspector", "setup", "release", "trainer", "reconcile", "backup"},
}
WRITERS = {
    "frames": {"producer"},
    "alerts": {"inspector", "reconcile"},
    "dead_letter": {"inspector", "reconcile"},
    "config": {"setup", "trainer", "backup"},
    "feedback": {"operator", "backup"},
    "weights": {"release", "trainer", "backup"},
}
REDIS_ROLES = sorted(role for role, given in ROLES.items() if "redis" in given)


@pytest.fixture(scope="module")
def filled(secured: Secured) -> Secured:
    """A record in every topic: at the end of an empty one, nobody would notice that he may not read."""
    assert _writable(secured, ADMIN) == set(TOPICS)
    return secured


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_role_reads_its_topics_and_no_other(filled: Secured, role: str) -> None:
    connection = filled.connection(role)
    readable = set()
    for name, topic in TOPICS.items():
        try:
            assert next(read_committed(connection, topic), None) is not None
        except (CredentialsError, BadInputError):  # the second where it may not even know of the topic
            continue
        readable.add(name)
    assert readable == {name for name, readers in READERS.items() if role in readers}


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_role_writes_to_its_topics_and_to_no_other(filled: Secured, role: str) -> None:
    before = _ends(filled)
    expected = {name for name, writers in WRITERS.items() if role in writers}
    assert _writable(filled, role) == expected
    after = _ends(filled)
    assert {name for name in TOPICS if after[name] != before[name]} == expected


@pytest.mark.parametrize("topic", ["alerts", "dead_letter"])
def test_who_compares_may_see_how_long_outcomes_are_kept(secured: Secured, topic: str) -> None:
    for role in ("reconcile", "watch"):
        complete_since(secured.connection(role), TOPICS[topic], datetime.now(UTC))
    with pytest.raises(CredentialsError, match="DESCRIBE_CONFIGS"):
        complete_since(secured.connection("operator"), TOPICS[topic], datetime.now(UTC))


def test_who_scales_sees_how_many_frames_wait(secured: Secured) -> None:
    """As KEDA asks: where the topic ends, and what the group has committed; of no other group or topic."""
    frames, alerts = (TopicPartition(TOPICS[name], 0) for name in ("frames", "alerts"))
    with admin_client(secured.connection("scaler")) as admin:
        assert admin.list_partition_offsets({frames: OffsetSpec.LATEST})[frames].offset >= 0
        group_offsets(admin, KafkaSettings().group, [frames])
        with pytest.raises(errors.GroupAuthorizationFailedError):
            group_offsets(admin, "another", [frames])
        with pytest.raises(errors.KafkaError):
            admin.list_partition_offsets({alerts: OffsetSpec.LATEST})


def _writable(secured: Secured, user: str) -> set[str]:
    """Which topics take a record of a user, written with nothing but the right to write."""
    options = secured.connection(user).client_options()
    producer = build(KafkaProducer, **options, enable_idempotence=False, acks="all", max_block_ms=3_000)
    taken = set()
    for name, topic in TOPICS.items():
        try:
            producer.send(topic, value=b"rights", key=b"test", partition=0).get(timeout=20)
        except errors.AuthorizationError:
            continue
        taken.add(name)
    clients.close_producer(producer, 1.0)
    return taken


def _ends(secured: Secured) -> dict[str, int]:
    partitions = {name: TopicPartition(topic, 0) for name, topic in TOPICS.items()}
    with admin_client(secured.connection(ADMIN)) as admin:
        found = admin.list_partition_offsets(dict.fromkeys(partitions.values(), OffsetSpec.LATEST))
    return {name: found[partition].offset for name, partition in partitions.items()}


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"administrator"}))
def test_nobody_but_the_administrator_makes_topics_and_nobody_deletes_them(secured: Secured, role: str) -> None:
    with admin_client(secured.connection(role)) as admin:
        with pytest.raises(errors.AuthorizationError):
            admin.create_topics({"inspection.frames-2": {"num_partitions": 1, "replication_factor": 1}})
        with pytest.raises((errors.AuthorizationError, errors.UnknownTopicOrPartitionError)):
            admin.delete_topics(["inspection.frames"])


@pytest.mark.parametrize("role", REDIS_ROLES)
@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "SET", "dir", "/tmp"),
        ("CONFIG", "GET", "requirepass"), ("KEYS", "*"), ("SHUTDOWN",), ("ACL", "LIST"),
("SCAN", "0"), ("REPLICAOF", "127.0.0.1", "1"), ("MONITOR",), ("SAVE",),
        ("EVAL", "return 1", "0"), ("FUNCTION", "LIST"), ("MIGRATE", "h", "1", "k", "0", "1"),
        ("SET", "somebody:elses", "1"), ("GET", "somebody:elses"),
    ],
    ids=lambda command: command[0].lower(),
)  # fmt: skip
def test_no_role_may_empty_or_rule_redis_or_see_other_keys(
    secured: Secured, role: str, command: tuple[str, ...]
) -> None:
    client = secured.redis(role)
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command)
    client.close()


@pytest.mark.parametrize(
    ("role", "key"),
    [
        ("operator", keys.result("f")),
        ("operator", keys.artefact("v")),
        ("inspector", keys.artefact("v")),
        ("inspector", keys.feedback_mask("v")),
        ("trainer", keys.feedback_mask("v")),
        ("setup", keys.result("f")),
        ("trainer", keys.result("f")),
        ("administrator", keys.result("f")),
        ("backup", keys.result("f")),
        ("backup", keys.TRAINER_LOCK),
    ],
)
def test_a_role_writes_no_keys_that_are_not_its_own(secured: Secured, role: str, key: str) -> None:
    client = secured.redis(role)
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.set(key, b"x")
    client.close()


def test_a_script_gives_nobody_rights_that_he_lacks(secured: Secured) -> None:
    client = secured.redis("inspector")
    for body in ("return redis.call('FLUSHALL')", "return redis.call('SET', 'inspection:artefact:v', 'x')"):
        with pytest.raises(redis.exceptions.ResponseError, match=r"can't run|can't access|NOPERM"):
            client.evalsha(client.script_load(body), 0)
    client.close()


def test_reading_results_needs_no_right_to_write_although_it_meets_members_whose_record_is_gone(
    secured: Secured,
) -> None:
    admin = secured.redis(ADMIN)
    admin.zadd(keys.defect_index("cam-gone"), {"gone": 1.0})
    assert RedisResults(secured.redis("operator")).last("cam-gone", 10) == []
    assert RedisResults(admin).last("cam-gone", 10) == []
    assert not admin.exists(keys.defect_index("cam-gone"))  # who may, tidies up
    admin.close()


def test_the_trainer_may_gather_samples_and_needs_no_more(filled: Secured) -> None:
    admin = filled.redis(ADMIN)
    for partition in range(3):  # one of them holds the record
        normal = replace(result(f"f{partition}"), source=FrameSource(TOPICS["frames"], partition, 0))
        admin.set(keys.result(normal.frame_id), to_json(normal))
        admin.xadd(keys.stream("cam1"), {"frame_id": normal.frame_id, "label": "normal", "score": "0.1"})
    admin.zadd(keys.CAMERAS, {"cam1": 1.0})
    admin.close()
    file = filled.settings_file("trainer", "trainer-samples", samples={"place": str(filled.dir / "samples")})
    command = [sys.executable, "-m", "inspector", "samples", "gather", "-c", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not kept, 3" in done.stderr, "it looked for the frames and found other records"


def test_the_trainer_may_hold_its_lock_and_list_its_runs_and_nobody_else(secured: Secured) -> None:
    client = secured.redis("trainer")
    lock = TrainerLock(client, life_s=60)
    lease = lock.take("t1")
    assert isinstance(lease, Lease)
    assert isinstance(lock.take("t2"), Busy)
    assert lock.keep(lease)
    assert lock.leave(lease)
    assert RedisTrainerRuns(client).add("v1") == []
    assert RedisTrainerRuns(client).last(1) == ["v1"]
    client.close()
    for role in sorted({*REDIS_ROLES} - {"trainer"}):
        other = secured.redis(role)
        with pytest.raises(CredentialsError):
            TrainerLock(other, life_s=60).take(role)
        other.close()


def test_every_family_of_keys_belongs_to_a_role_and_no_role_names_another() -> None:
    made = {
        function(*["x"] * len(inspect.signature(function).parameters)).split(":")[1]
        for _, function in inspect.getmembers(keys, inspect.isfunction)
    } | {key.split(":")[1] for key in (keys.CAMERAS, keys.TRAINER_LOCK)}
    named = {
        family
        for given in ROLES.values()
        for access in ("read", "read_write")
        for family in given.get("redis", {}).get(access, ())
    }
    assert named == made


def test_the_command_prints_what_it_would_give_and_no_password(secured: Secured) -> None:
    command = [sys.executable, str(ACCESS), "-c", str(secured.settings_file(ADMIN))]
    passwords = ["--passwords", str(secured.dir / "passwords")]
    kafka = subprocess.run([*command, "kafka"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert "User:producer may WRITE TOPIC inspection.frames (LITERAL)" in kafka
    assert "User:inspector may WRITE TRANSACTIONAL_ID inspectors- (PREFIXED)" in kafka
    acl = subprocess.run([*command, "redis", *passwords], capture_output=True, text=True, check=True).stdout
    assert "user default off" in acl
    assert "s3cr3t" not in acl
    assert not any(line.startswith("user producer") for line in acl.splitlines())


def test_a_right_that_is_no_longer_written_down_is_taken_back(secured: Secured) -> None:
    extra = ACL(
        "User:producer", "*", ACLOperation.READ, ACLPermissionType.ALLOW,
        ResourcePattern(ResourceType.TOPIC, "inspection.frames"),
    )  # fmt: skip
    everything = ACLFilter(
        "User:producer", None, ACLOperation.ANY, ACLPermissionType.ANY,
        ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
    )  # fmt: skip
    with admin_client(secured.connection(ADMIN)) as admin:
        admin.create_acls([extra])
        command = [sys.executable, str(ACCESS), "kafka", "-c", str(secured.settings_file(ADMIN)), "--apply"]
        subprocess.run(command, check=True, capture_output=True)
        left, _ = admin.describe_acls(everything)
    assert [(acl.operation, acl.resource_pattern.resource_name) for acl in left] == [
        (ACLOperation.WRITE, "inspection.frames")
    ]


def test_who_may_not_see_a_topic_is_told_that_it_may_be_for_lack_of_rights(secured: Secured) -> None:
    done = run(secured.settings_file("producer"), "alerts")
    assert done.returncode == 1
    assert "our rights (ACL)" in done.stderr
