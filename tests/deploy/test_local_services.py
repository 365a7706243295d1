"""deploy/local: up, down, node, as a person types them. One set of servers serves the tests that do not break it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from local_services import LOCAL, Services, running

pytestmark = pytest.mark.services


def call(script: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(LOCAL / script), *map(str, arguments)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with running(tmp_path_factory.mktemp("local"), brokers=1) as own:
        yield own


def folder_of(services: Services) -> Path:
    assert services.dir is not None
    return services.dir


def pid_of(services: Services, name: str) -> int:
    return int(json.loads((folder_of(services) / "run" / f"{name}.json").read_text())["pid"])


def test_up_prints_exactly_the_two_addresses_and_leaves_running_servers_alone(local: Services) -> None:
    before = pid_of(local, "kafka-1"), pid_of(local, "redis")
    again = call("up", folder_of(local))
    assert again.returncode == 0
    assert again.stdout == f"KAFKA_BOOTSTRAP={local.kafka_bootstrap}\nREDIS_URL={local.redis_url}\n"
    assert (pid_of(local, "kafka-1"), pid_of(local, "redis")) == before


def test_servers_listen_on_the_loopback_only(local: Services) -> None:
    """/proc/net/tcp lists addresses in hex; 0100007F is 127.0.0.1 as the kernel prints it."""
    plan = json.loads((folder_of(local) / "plan.json").read_text())
    ports = {plan["redis_port"], *(broker[key] for broker in plan["brokers"] for key in ("port", "controller_port"))}
    listening = "0A"
    bound = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local_address, _, state, *_ = line.split()
            address, _, port = local_address.rpartition(":")
            if state == listening and int(port, 16) in ports:
                bound[int(port, 16)] = address
    assert set(bound) == ports
    assert all(address.endswith("0100007F") for address in bound.values()), bound


def test_redis_keeps_every_acknowledged_write_and_never_evicts(local: Services) -> None:
    client = redis.Redis.from_url(local.redis_url)
    settings = {**client.config_get("append*"), **client.config_get("maxmemory-policy")}
    client.close()
    assert (settings["appendonly"], settings["appendfsync"]) == ("yes", "always")
    assert settings["maxmemory-policy"] == "noeviction"


def test_data_and_addresses_survive_kills_and_a_full_stop(local: Services, topic_prefix: str) -> None:
    topic, image = f"{topic_prefix}frames", bytes(4 * 2**20)  # four times Kafka's default limit
    client = redis.Redis.from_url(local.redis_url)
    client.set(topic, "kept")
    with KafkaAdminClient(bootstrap_servers=local.kafka_bootstrap) as admin:
        admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    producer = KafkaProducer(bootstrap_servers=local.kafka_bootstrap, acks="all", max_request_size=8 * 2**20)
    producer.send(topic, image).get(timeout=30)
    producer.close()

    for name in ("kafka-1", "redis"):
        local.act("kill", name)
        local.act("start", name)
    assert call("down", folder_of(local)).returncode == 0
    assert call("up", folder_of(local)).stdout.startswith(f"KAFKA_BOOTSTRAP={local.kafka_bootstrap}\n")

    assert client.get(topic) == b"kept"
    client.close()
    consumer = KafkaConsumer(
        topic, bootstrap_servers=local.kafka_bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=30_000
    )
    assert next(consumer).value == image
    consumer.close()


def test_another_number_of_brokers_than_the_data_has_is_refused(local: Services) -> None:
    refused = call("up", folder_of(local), "--brokers", 3)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "holds the data of 1" in refused.stderr


def write_plan(folder: Path, redis_port: int) -> None:
    """A plan as `up` keeps it, with a Redis port of the test's choice."""
    kafka, controller = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    with kafka, controller:
        ports = {"port": kafka.getsockname()[1], "controller_port": controller.getsockname()[1]}
    broker = {"number": 1, "directory_id": "AAAAAAAAAAAAAAAAAAAAQQ", **ports}
    folder.mkdir(exist_ok=True)
    plan = {"cluster_id": "AAAAAAAAAAAAAAAAAAAAQg", "brokers": [broker], "redis_port": redis_port}
    (folder / "plan.json").write_text(json.dumps(plan))


def test_a_failed_start_stops_what_it_started_and_names_the_log(tmp_path: Path) -> None:
    """A stranger sits on the Redis port: Kafka had been started by then and must be gone again."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        write_plan(tmp_path, stranger.getsockname()[1])
        failed = call("up", tmp_path)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert str(tmp_path / "logs" / "redis.log") in failed.stderr
    assert "Address already in use" in failed.stderr
    assert (tmp_path / "logs" / "kafka-1.log").exists(), "Kafka was not even started: the test shows nothing"
    assert not [command for command in commands() if str(tmp_path) in command]


def commands() -> list[str]:
    """Command lines of all processes."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended since it was listed
            found.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    failed = call("up", tmp_path, PATH="/nowhere")
    assert failed.returncode == 1
    assert "'java'" in failed.stderr
    assert "deploy/setup.sh" in failed.stderr


@pytest.mark.parametrize("wrong", ["start_ticks", "boot_id"])
def test_down_spares_a_process_that_only_has_the_same_id(tmp_path: Path, wrong: str) -> None:
    """The kernel reuses process ids: a record from before must not cost a stranger's life."""
    write_plan(tmp_path, 1)
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            record = {
                "pid": stranger.pid,
                "start_ticks": int(Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19]),
                "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            }
            record[wrong] = 1
            (tmp_path / "run").mkdir()
            (tmp_path / "run" / "redis.json").write_text(json.dumps(record))
            assert call("down", tmp_path).returncode == 0
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_down_where_nothing_was_started_is_fine(tmp_path: Path) -> None:
    assert call("down", tmp_path / "never").returncode == 0


@pytest.mark.long
def test_three_brokers_hold_three_copies_of_every_topic(
    own_services: Callable[[int], Services], topic_prefix: str
) -> None:
    three = own_services(3)
    topic = f"{topic_prefix}frames"
    with KafkaAdminClient(bootstrap_servers=three.kafka_bootstrap) as admin:
        admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=-1)])
        # The broker that is asked may not have heard of the topic yet.
        while not (partitions := admin.describe_topics([topic])[0]["partitions"]):
            pass
        assert [sorted(partition["replica_nodes"]) for partition in partitions] == [[1, 2, 3]]
    three.act("kill", "kafka-1")
    _produce(three, topic, b"accepted by the two that are left")
    three.act("start", "kafka-1")


def _produce(services: Services, topic: str, value: bytes) -> None:
    # Not by kafka-python, which leaves the socket of a refused connection open.
    kcat = ["kcat", "-P", "-b", services.kafka_bootstrap, "-t", topic, "-X", "acks=all"]
    subprocess.run(kcat, input=value, check=True, timeout=120)
