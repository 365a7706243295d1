"""The topics the line needs: create what is missing, tell what differs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.structs import TopicPartition

from inspector.adapters.kafka.connection import KafkaConnection, admin_client, translate, translated_errors
from inspector.adapters.kafka.lag import group_lag
from inspector.domain.errors import BadInputError

DEFAULT_MAX_FRAME_BYTES = 8 * 1024 * 1024
# Dead letters carry a frame as it came with its headers and ours, so their limit is above the frames topic's.
_DEAD_LETTER_HEADROOM_BYTES = 1024 * 1024
_SMALL_RECORD_BYTES = 1024 * 1024
_DAY_MS = 24 * 60 * 60 * 1000
# Whatever a producer compressed is stored plain: images do not shrink, a reader without the codec cannot read it, and
# the limits on sizes are then those of what comes out, so that nothing small can unpack into gigabytes.
_PLAIN = {"compression.type": "uncompressed"}
# By the brokers' clock, not the sender's: retention would take a frame of a gateway whose clock stands in 1970 within
# minutes, inspected or not, and an alert of an inspector whose clock is an hour ahead would be refused for ever.
_DATED_BY_BROKERS = {"message.timestamp.type": "LogAppendTime"}


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. ``settings`` are Kafka's topic configurations, those that matter here."""

    name: str
    partitions: int
    replication_factor: int
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """The topics of one line. Sizes are bytes of a record, retention is in milliseconds."""

    frames: str = "inspection.frames"
    alerts: str = "inspection.alerts"
    dead_letter: str = "inspection.dead-letter"
    config: str = "inspection.config"
    feedback: str = "inspection.feedback"
    weights: str = "inspection.weights"
    partitions: int = 6
    replication_factor: int = 1
    max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES
    frames_retention_ms: int = 2 * _DAY_MS
    records_retention_ms: int = 30 * _DAY_MS
    feedback_retention_ms: int = 3650 * _DAY_MS

    def specs(self) -> tuple[TopicSpec, ...]:
        """Return the topics with their settings."""
        in_sync = str(max(1, self.replication_factor - 1))
        kept = _DATED_BY_BROKERS | {"retention.ms": str(self.records_retention_ms), "min.insync.replicas": in_sync}
        frames = (
            kept
            | _PLAIN
            | {
                "retention.ms": str(self.frames_retention_ms),
                "max.message.bytes": str(self.max_frame_bytes + _SMALL_RECORD_BYTES // 2),
            }
        )
        dead = kept | {"max.message.bytes": str(self.max_frame_bytes + 2 * _DEAD_LETTER_HEADROOM_BYTES)}
        alerts = kept | {"max.message.bytes": str(_SMALL_RECORD_BYTES)}
        config = _PLAIN | {"cleanup.policy": "compact", "min.insync.replicas": in_sync}
        # By time and never by compaction: what people said and took back again is part of the record.
        feedback = kept | _PLAIN | {"cleanup.policy": "delete", "retention.ms": str(self.feedback_retention_ms)}
        return (
            TopicSpec(self.frames, self.partitions, self.replication_factor, frames),
            TopicSpec(self.alerts, self.partitions, self.replication_factor, alerts),
            TopicSpec(self.dead_letter, self.partitions, self.replication_factor, dead),
            TopicSpec(self.config, 1, self.replication_factor, config),
            TopicSpec(self.feedback, 1, self.replication_factor, feedback),
            # One partition: a rollout follows the releases that it names.
            TopicSpec(self.weights, 1, self.replication_factor, config),
        )


@dataclass(frozen=True, slots=True)
class TopicFinding:
    """One difference between the plan and the cluster; ``setting`` is "topic" where it does not exist."""

    topic: str
    setting: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.topic}: expected {self.setting} {self.expected}, got {self.got}"


def create_topics(connection: KafkaConnection, plan: TopicPlan) -> list[str]:
    """Create the topics that do not exist and return their names; those that exist are left as they are.

    Raises:
        ServiceUnavailableError: the brokers cannot be reached, or are too few for the replication factor.
        CredentialsError: they refuse us.
    """
    with translated_errors(connection), admin_client(connection) as admin:
        existing = set(admin.list_topics())
        missing = [spec for spec in plan.specs() if spec.name not in existing]
        return [spec.name for spec in missing if _create(admin, spec, connection)]


def grow_topics(connection: KafkaConnection, plan: TopicPlan, group_id: str, still_s: float = 10.0) -> list[str]:
    """Give the topics that cameras are keys of as many partitions as planned; return the names of those that grew.

    A camera's key falls on another partition then. Its order holds because nothing of it is left behind: the group has
    committed every frame, and none came for ``still_s`` seconds, as producers are stopped.

    Raises:
        BadInputError: frames wait or come, or a topic has more partitions than planned, which Kafka cannot take away.
        ServiceUnavailableError: the brokers cannot be reached.
        CredentialsError: they refuse us.
    """
    _require_drained(connection, plan.frames, group_id, still_s)
    keyed = (plan.frames, plan.alerts, plan.dead_letter)
    with translated_errors(connection), admin_client(connection) as admin:
        had = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(list(keyed))}
        if too_many := [name for name in keyed if had[name] > plan.partitions]:
            raise BadInputError(
                f"at least {had[too_many[0]]} partitions, as {too_many[0]} has", str(plan.partitions), "plan more"
            )
        grown = [name for name in keyed if had[name] < plan.partitions]
        if grown:
            admin.create_partitions(dict.fromkeys(grown, plan.partitions))
    return grown


def _require_drained(connection: KafkaConnection, topic: str, group_id: str, still_s: float) -> None:
    if waiting := sum(group_lag(connection, group_id, topic).values()):
        raise BadInputError(
            f"no frame that waits on {topic}",
            f"{waiting}",
            "stop the producers, whose frames wait in their spools, and let the inspectors finish; then repeat",
        )
    ends = _ends(connection, topic)
    time.sleep(still_s)
    if _ends(connection, topic) != ends:
        raise BadInputError(f"no frame that comes to {topic}", "some", "stop the producers, then repeat")


def _ends(connection: KafkaConnection, topic: str) -> list[int]:
    with translated_errors(connection, topic), admin_client(connection) as admin:
        described = admin.describe_topics([topic])[0]["partitions"]
        wanted = {TopicPartition(topic, each["partition_index"]): OffsetSpec.LATEST for each in described}
        return sorted(found.offset for found in admin.list_partition_offsets(wanted).values())


def check_topics(connection: KafkaConnection, plan: TopicPlan) -> list[TopicFinding]:
    """Return what differs from the plan, topic by topic; nothing where all is as planned.

    Raises:
        ServiceUnavailableError: the brokers cannot be reached.
        CredentialsError: they refuse us.
    """
    with translated_errors(connection), admin_client(connection) as admin:
        existing = set(admin.list_topics())
        return [
            finding
            for spec in plan.specs()
            for finding in (_differences(admin, spec) if spec.name in existing else [_missing(spec)])
        ]


def _create(admin: Any, spec: TopicSpec, connection: KafkaConnection) -> bool:
    wanted = {
        "num_partitions": spec.partitions,
        "replication_factor": spec.replication_factor,
        "configs": dict(spec.settings),
    }
    try:
        admin.create_topics({spec.name: wanted}, wait_for_metadata=True)
    except errors.TopicAlreadyExistsError:
        return False  # somebody else was faster
    except errors.InvalidReplicationFactorError as error:
        told = translate(error, connection)
        told.do = f"start {spec.replication_factor} brokers, or lower the replication factor"
        raise told from error
    return True


def _missing(spec: TopicSpec) -> TopicFinding:
    return TopicFinding(spec.name, "topic", "to exist", "no such topic")


def _differences(admin: Any, spec: TopicSpec) -> list[TopicFinding]:
    described = admin.describe_topics([spec.name])[0]["partitions"]
    resource = ConfigResource(ConfigResourceType.TOPIC, spec.name, dict.fromkeys(spec.settings))
    configured = admin.describe_configs([resource], config_filter="all")["topic"][spec.name]
    pairs = [
        ("partitions", str(spec.partitions), str(len(described))),
        (
            "replication factor",
            str(spec.replication_factor),
            str(min(len(partition["replica_nodes"]) for partition in described)),
        ),
        *((name, value, str(configured[name]["value"])) for name, value in spec.settings.items()),
    ]
    return [TopicFinding(spec.name, name, expected, got) for name, expected, got in pairs if expected != got]
