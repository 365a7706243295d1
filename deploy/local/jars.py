"""Jars of servers: fetched once by Maven from a pom.xml, checked against the jars.sha256 beside it before every use."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from process import ServiceError

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parent.parent / ".cache" / "kafka-4.3.0" / "lib"
MAVEN_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


@functools.cache
def library() -> Path:
    """The folder of Kafka's verified jars. Raises as ``verified``."""
    return verified(HERE, LIBRARY, "Kafka 4.3.0", "54 MB")


def verified(pinned: Path, folder: Path, name: str, size: str) -> Path:
    """Return ``folder`` with the jars that ``pinned`` names; fetches them when they are missing or damaged.

    Raises:
        ServiceError: Maven is missing, failed, or delivered something else than jars.sha256 names.
    """
    if _damaged(pinned, folder) is None:
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"fetching {name} with Maven ({size}, once) ...", file=sys.stderr, flush=True)
    # Beside the final place, so that the last step is one rename and a half-fetched folder is never used.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as scratch:
        fetched = Path(scratch) / "lib"
        _fetch(pinned, fetched, name)
        problem = _damaged(pinned, fetched)
        if problem is not None:
            raise ServiceError(
                f"expected the jars of {name} as in {pinned / 'jars.sha256'}, got {problem}; "
                "if a mirror serves Maven Central here, compare its copy with the original"
            )
        shutil.rmtree(folder, ignore_errors=True)
        try:
            fetched.rename(folder)
        except OSError:  # another `up` put its own verified copy there in between
            if _damaged(pinned, folder) is not None:
                raise
    return folder


def _fetch(pinned: Path, target: Path, name: str) -> None:
    command = ["mvn", "-q", "-B", "-Dstyle.color=never", "-f", str(pinned / "pom.xml"), MAVEN_GOAL]
    command += [f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise ServiceError(f"expected Maven to fetch {name}, found no `mvn`; run deploy/setup.sh") from missing
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise ServiceError(f"expected Maven to fetch {name}, it failed (is the network or its proxy set up?):\n{last}")


def _damaged(pinned: Path, folder: Path) -> str | None:
    """What differs in `folder` from the jars.sha256 of `pinned`, in words; None when nothing does."""
    wanted = {}
    for line in (pinned / "jars.sha256").read_text().splitlines():
        digest, name = line.split()
        wanted[name] = digest
    present = {path.name for path in folder.glob("*.jar")}
    if present != set(wanted):
        return f"missing {sorted(set(wanted) - present)}, unexpected {sorted(present - set(wanted))}"
    for name, digest in wanted.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            return f"another checksum of {name}"
    return None
