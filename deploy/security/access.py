#!/usr/bin/env python3
"""Gives the roles of roles.yaml their rights on the Kafka or the Redis of the settings, or prints what it would give.

    access.py kafka -c admin.yaml                      prints one rule a line
    access.py kafka -c admin.yaml --apply --passwords secrets/
    access.py redis --passwords secrets/ > users.acl   lines of a Redis ACL file

The settings are those of a superuser. Users are called like their roles. DIR of --passwords holds one file a role,
named like it, with its password: files, because a command line is seen by everybody on the machine. Kafka's users are
made with SCRAM-SHA-512; Redis is given the passwords' SHA-256 only. Rights that a role was given earlier and that
roles.yaml no longer names for it are taken back. A role that is gone from roles.yaml is not known here any more, nor on
Redis one without a `redis` section: take its user away there by hand. Redis has to keep its users (`aclfile`).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from inspector import settings as all_settings
from inspector.apps import wiring
from inspector.domain.errors import BadInputError, InspectorError
from inspector.settings import Settings

ROLES_FILE = Path(__file__).resolve().parent / "roles.yaml"
_SINGLE_KEYS = ("cameras",)  # families that are one key, not a prefix


@dataclass(frozen=True, slots=True, order=True)
class KafkaRule:
    """One operation allowed to one user, in Kafka's own words; ``pattern`` is LITERAL or PREFIXED."""

    user: str
    resource: str
    name: str
    pattern: str
    operation: str

    def __str__(self) -> str:
        return f"User:{self.user} may {self.operation} {self.resource} {self.name} ({self.pattern})"


def roles() -> Mapping[str, Any]:
    """Return what roles.yaml says, by role."""
    content: Mapping[str, Any] = yaml.safe_load(ROLES_FILE.read_text(encoding="utf-8"))
    return content


def kafka_rules(role: str, settings: Settings) -> list[KafkaRule]:
    """Return what a role may do on the topics and the group of the settings."""
    kafka, given = settings.kafka, roles()[role].get("kafka", {})
    rules = [
        KafkaRule(role, "TOPIC", getattr(kafka, f"{topic}_topic"), "LITERAL", operation)
        for topic, operations in given.get("topics", {}).items()
        for operation in operations
    ]
    rules += [KafkaRule(role, "GROUP", kafka.group, "LITERAL", operation) for operation in given.get("group", ())]
    rules += [
        KafkaRule(role, "TRANSACTIONAL_ID", f"{kafka.group}-", "PREFIXED", operation)
        for operation in given.get("transactional_id", ())
    ]
    # Kafka knows one cluster, by this name.
    rules += [KafkaRule(role, "CLUSTER", "kafka-cluster", "LITERAL", op) for op in given.get("cluster", ())]
    return rules


def redis_rules(role: str) -> list[str] | None:
    """Return what a role may do in the words of ``ACL SETUSER``; None where it has no user."""
    given = roles()[role].get("redis")
    if given is None:
        return None
    patterns = [f"%R~{_pattern(family)}" for family in given.get("read", ())]
    patterns += [f"%RW~{_pattern(family)}" for family in given.get("read_write", ())]
    return ["resetkeys", "resetchannels", *patterns, "-@all", *(f"+{command}" for command in given["commands"])]


def _pattern(family: str) -> str:
    return f"inspection:{family}" if family in _SINGLE_KEYS else f"inspection:{family}:*"


def apply_to_kafka(settings: Settings, passwords: Mapping[str, str]) -> None:
    """Give every role its rights, take others back, and make the users whose passwords are given.

    Raises:
        InspectorError: Kafka cannot be used, or refuses.
    """
    from kafka.admin import UserScramCredentialUpsertion

    from inspector.adapters.kafka.connection import admin_client, translated_errors

    connection = wiring.kafka_connection(settings)
    with translated_errors(connection), admin_client(connection) as admin:
        users = [UserScramCredentialUpsertion(user, "SCRAM-SHA-512", secret) for user, secret in passwords.items()]
        if users:
            _require_taken(admin.alter_user_scram_credentials(users))
        for role in roles():
            _apply_role(admin, role, kafka_rules(role, settings))


def _apply_role(admin: Any, role: str, wanted: Sequence[KafkaRule]) -> None:
    from kafka.admin import (
        ACL,
        ACLFilter,
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        ResourcePattern,
        ResourcePatternFilter,
        ResourceType,
    )
    from kafka.errors import NoError

    def acl(rule: KafkaRule) -> Any:
        pattern = ResourcePattern(ResourceType[rule.resource], rule.name, ACLResourcePatternType[rule.pattern])
        return ACL(f"User:{rule.user}", "*", ACLOperation[rule.operation], ACLPermissionType.ALLOW, pattern)

    if wanted and (refused := admin.create_acls([acl(rule) for rule in wanted])["failed"]):
        raise refused[0](f"{len(refused)} of {len(wanted)} rights of {role} were not given")
    any_of_role = ACLFilter(
        f"User:{role}", None, ACLOperation.ANY, ACLPermissionType.ALLOW,
        ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
    )  # fmt: skip
    kept = set(map(acl, wanted))
    found, _ = admin.describe_acls(any_of_role)
    if surplus := [one for one in found if one not in kept]:
        for _, _, error in admin.delete_acls([_exactly(one) for one in surplus]):
            if error is not NoError:
                raise error(f"a right that {role} should no longer have was not taken back")


def _require_taken(outcomes: Mapping[str, str | None]) -> None:
    """Refuse to go on where Kafka did not make a user: it returns its reasons by user, and raises nothing."""
    if refused := {user: why for user, why in outcomes.items() if why is not None}:
        reasons = "; ".join(f"{user}: {why}" for user, why in refused.items())
        raise BadInputError("Kafka to take every password", reasons, "correct what it says, then apply again")


def _exactly(acl: Any) -> Any:
    from kafka.admin import ACLFilter, ResourcePatternFilter

    pattern = acl.resource_pattern
    only = ResourcePatternFilter(pattern.resource_type, pattern.resource_name, pattern.pattern_type)
    return ACLFilter(acl.principal, acl.host, acl.operation, acl.permission_type, only)


def acl_file(passwords: Mapping[str, str]) -> str:
    """Return a Redis ACL file for every role that has a user; without a password it lets nobody in."""
    users = (
        " ".join(["user", role, "reset", "on", *_digests(role, passwords), *rules])
        for role in roles()
        if (rules := redis_rules(role)) is not None
    )
    return "".join(f"{line}\n" for line in ("user default off", *users))


def apply_to_redis(settings: Settings, passwords: Mapping[str, str]) -> None:
    """Make the roles' users on a running server, and in its ACL file; those without a password keep the one they have.

    Behind Sentinel on each of its servers, for Redis does not copy users to replicas: after a failover all roles would
    be strangers.

    Raises:
        InspectorError: Redis cannot be used, refuses, has no ACL file, or lets everybody in; nothing was changed.
    """
    from inspector.adapters.redis.connection import translated
    from inspector.adapters.redis.sentinel import every_server

    client = wiring.redis_client(settings)
    with translated(client):
        servers = every_server(client)
    for server in servers:
        with translated(server):
            _require_default_user_closed(server.acl_getuser("default"))
            _save(server)  # before anything is changed: it may be that it cannot
    for server in servers:
        with translated(server):
            _make_users(server, passwords)
        server.close()


def _make_users(server: Any, passwords: Mapping[str, str]) -> None:
    for role in roles():
        if (rules := redis_rules(role)) is not None:
            renewed = ["resetpass", *_digests(role, passwords)] if role in passwords else []
            server.execute_command("ACL", "SETUSER", role, "on", *renewed, *rules)
    _save(server)


def _require_default_user_closed(default: Mapping[str, Any]) -> None:
    """Refuse a server where who gives no name may do what he likes, and warn where he needs a password for it."""
    if not default["enabled"] or default["commands"] == ["-@all"]:
        return
    todo = "make a superuser with a name, name it in the settings, then ACL SETUSER default off"
    if "nopass" in default["flags"]:
        raise BadInputError("a Redis that lets in nobody without a name", "its user `default` is on, for all", todo)
    print(f"warning: Redis's user `default` is on: its password opens everything; {todo}", file=sys.stderr)


def _save(client: Any) -> None:
    """Write the users to the server's ACL file, without which they would be gone when it starts again."""
    from redis.exceptions import NoPermissionError, ResponseError

    try:
        client.acl_save()
    except NoPermissionError:
        raise
    except ResponseError as error:
        raise BadInputError(
            "a Redis that keeps its users (aclfile in its configuration)",
            f"a refusal ({error})",
            "set aclfile; or give it what this command prints without --apply",
        ) from error


def _digests(role: str, passwords: Mapping[str, str]) -> list[str]:
    return [f"#{hashlib.sha256(passwords[role].encode()).hexdigest()}"] if role in passwords else []


def read_passwords(folder: Path | None) -> dict[str, str]:
    """Return the passwords of the roles that have a file in ``folder``.

    Raises:
        BadInputError: a file holds none: an account with an empty password lets everybody in.
    """
    if folder is None:
        return {}
    files = {role: folder / role for role in roles() if (folder / role).is_file()}
    passwords = {role: file.read_text(encoding="utf-8").strip() for role, file in files.items()}
    for role, password in passwords.items():
        if not password:
            raise BadInputError(
                "a password in its file", f"{files[role]}, which is empty", "write it, or remove the file"
            )
    return passwords


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", choices=("kafka", "redis"))
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="settings of a superuser")
    parser.add_argument("--passwords", type=Path, metavar="DIR", help="folder with one file a role")
    parser.add_argument("--apply", action="store_true", help="give the rights, instead of printing them")
    arguments = parser.parse_args()
    try:
        settings, passwords = all_settings.load(arguments.config), read_passwords(arguments.passwords)
        if not arguments.apply:
            kafka = (f"{rule}\n" for role in roles() for rule in kafka_rules(role, settings))
            print(acl_file(passwords) if arguments.server == "redis" else "".join(kafka), end="")
        elif arguments.server == "redis":
            apply_to_redis(settings, passwords)
        else:
            apply_to_kafka(settings, passwords)
    except (InspectorError, OSError) as problem:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()
