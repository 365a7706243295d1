#!/usr/bin/env python3
"""Prints the users that Redis behind Sentinel needs besides the roles, and those of the sentinels, as ACL files.

    access.py redis --passwords secrets/ > users.acl
    sentinel.py servers --passwords secrets/ >> users.acl       replicas and sentinels, for the servers
    sentinel.py sentinels --passwords secrets/ > sentinels.acl  sentinels, and each role by its own name and password

The folder holds one file for each role, and two more: `replica`, by which a replica copies from the primary, and
`sentinel`, by which sentinels watch the servers and one another. The files hold the passwords' SHA-256 only.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import access

from inspector.domain.errors import BadInputError, InspectorError

# As Redis documents them (redis.conf, and "Sentinel and Redis ACL"); `info` and `role` are for probes, too.
SERVERS = {
    "replica": ["resetchannels", "-@all", "+ping", "+psync", "+replconf"],
    "sentinel": [
        "resetchannels", "&__sentinel__:hello", "-@all", "+ping", "+info", "+role", "+multi", "+exec", "+slaveof",
        "+config|rewrite", "+client|setname", "+client|kill", "+script|kill", "+publish", "+subscribe",
    ],
}  # fmt: skip
SENTINELS = {
    "sentinel": [
        "resetchannels", "&*", "-@all", "+ping", "+info", "+role", "+sentinel", "+client|setname", "+publish",
        "+subscribe", "+psubscribe",
    ],
}  # fmt: skip
# What a client asks: who is the primary, which replicas it has, whether enough sentinels are there (doctor).
ROLE = ["resetchannels", "-@all", "+ping", "+sentinel|masters", "+sentinel|slaves", "+sentinel|ckquorum"]


def servers(folder: Path) -> str:
    """Return the lines that a Redis server's ACL file needs more. Raises ``BadInputError``: a password is missing."""
    return "".join(_user(name, _password(folder, name), rules) for name, rules in SERVERS.items())


def sentinels(folder: Path) -> str:
    """Return the ACL file of a sentinel; a role without a password or without a user of Redis is not in it.

    Raises:
        BadInputError: the sentinels' own password is missing, or one is empty.
    """
    own = (_user(name, _password(folder, name), rules) for name, rules in SENTINELS.items())
    given = access.read_passwords(folder).items()
    roles = (_user(role, password, ROLE) for role, password in given if access.redis_rules(role) is not None)
    return "".join(["user default off\n", *own, *roles])


def _user(name: str, password: str, rules: Sequence[str]) -> str:
    digest = hashlib.sha256(password.encode()).hexdigest()
    return " ".join(["user", name, "reset", "on", f"#{digest}", *rules]) + "\n"


def _password(folder: Path, name: str) -> str:
    file = folder / name
    # The servers read the file themselves, as it is.
    password = file.read_text(encoding="utf-8").rstrip("\n") if file.is_file() else ""
    if not password or password != password.strip() or "\n" in password:
        raise BadInputError("a password in one line of a file", str(file), "write it, without spaces around it")
    return password


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("of", choices=("servers", "sentinels"))
    parser.add_argument("--passwords", type=Path, metavar="DIR", required=True, help="folder with one file a user")
    arguments = parser.parse_args()
    try:
        print((servers if arguments.of == "servers" else sentinels)(arguments.passwords), end="")
    except (InspectorError, OSError) as problem:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()
