"""Starts one Kafka and one Redis that let in nobody without a certificate and a password: ``secured_up.py DIR SPEC``.

A script of its own, because it builds on the modules of deploy/local, whose names are too short to share a process
with the tests'. ``SPEC`` is JSON: certificate files, and the password of Kafka's first user. ``deploy/local/down DIR``
stops both. Nobody but the broker itself speaks to the controller, with a certificate. Two more listeners show
certificates that no client should take: one that has expired, and one made out to another host. A third asks for the
client's certificate instead of a password.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LOCAL = Path(__file__).resolve().parent.parent.parent / "deploy" / "local"
sys.path.insert(0, str(LOCAL))

import nodes  # noqa: E402  found only now
import plan as plans  # noqa: E402
import process  # noqa: E402

ADMIN = "admin"
BAD = ("expired", "elsewhere")
MUTUAL = "mutual"


def main(folder: Path, spec: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    plan = plans.load(folder)
    if plan is None:
        plan = plans.make(1)
        plans.save(plan, folder)  # for deploy/local/down
    kafka, redis = nodes.nodes(plan, folder)
    more = (*BAD, MUTUAL)
    more_ports = dict(zip(more, plans._free_ports(len(more)), strict=True))
    process.start(kafka.record, _kafka_command(kafka, plan, spec, more_ports), kafka.log)
    process.start(redis.record, _redis_command(redis, plan, spec), redis.log)
    print(json.dumps({"kafka": plan.kafka_bootstrap, "redis_port": plan.redis_port, **more_ports}))


def _kafka_command(node: nodes.Node, plan: plans.Plan, spec: dict[str, str], more_ports: dict[str, int]) -> list[str]:
    broker = plan.brokers[0]
    ports = {"SECURE": broker.port, "CONTROLLER": broker.controller_port}
    ports |= {name.upper(): port for name, port in more_ports.items()}
    protocols = {name: "SASL_SSL" if name == "SECURE" else "SSL" for name in ports}
    settings = nodes._kafka_settings(node, plan, broker) | {
        "listeners": ",".join(f"{name}://{plans.HOST}:{port}" for name, port in ports.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        **{f"listener.name.{name}.ssl.keystore.location": spec[f"{name}_certificate"] for name in BAD},
        **{f"listener.name.{name}.ssl.keystore.type": "PEM" for name in BAD},
        "inter.broker.listener.name": "SECURE",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.secure.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required "
            f'username="{ADMIN}" password="{spec["password"]}";'
        ),
        "listener.name.controller.ssl.client.auth": "required",
        f"listener.name.{MUTUAL}.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": spec["kafka_certificate"],
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": spec["ca_file"],
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{ADMIN};User:CN=kafka",
    }
    java = ["java", *nodes.JVM_OPTIONS, f"-Dlog4j2.configurationFile={LOCAL / 'log4j2.properties'}"]
    java += ["-cp", f"{nodes.library()}/*"]
    file = node.folder / "config" / f"{node.name}.properties"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    if not (node.data / "meta.properties").exists():
        voters = f"{broker.number}@{plans.HOST}:{broker.controller_port}:{broker.directory_id}"
        arguments = ["format", "-t", plan.cluster_id, "-c", str(file), "--initial-controllers", voters]
        arguments += ["--add-scram", f"SCRAM-SHA-512=[name={ADMIN},password={spec['password']}]"]
        subprocess.run([*java, "kafka.tools.StorageTool", *arguments], check=True, stdout=subprocess.DEVNULL)
    return [*java, "kafka.Kafka", str(file)]


def _redis_command(node: nodes.Node, plan: plans.Plan, spec: dict[str, str]) -> list[str]:
    options = {
        "--port": "0",
        "--tls-port": str(plan.redis_port),
        "--tls-cert-file": spec["redis_certificate"],
        "--tls-key-file": spec["redis_key"],
        "--tls-ca-cert-file": spec["ca_file"],
        "--tls-auth-clients": "no",
        "--aclfile": spec["redis_acl_file"],
    }
    return [*nodes._redis_command(node, plan), *(part for option in options.items() for part in option)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
