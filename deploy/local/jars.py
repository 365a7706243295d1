"""The Kafka jars: fetched once by Maven from pom.xml, checked against jars.sha256 before every use."""

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
    """The folder of verified jars; fetches them when they are missing or damaged.

    Raises:
        ServiceError: Maven is missing, failed, or delivered something else than jars.sha256 names.
    """
    if _damaged(LIBRARY) is None:
        return LIBRARY
    LIBRARY.parent.mkdir(parents=True, exist_ok=True)
    print("fetching Kafka 4.3.0 with Maven (54 MB, once) ...", file=sys.stderr, flush=True)
    # Beside the final place, so that the last step is one rename and a half-fetched folder is never used.
    with tempfile.TemporaryDirectory(dir=LIBRARY.parent, prefix="fetch-") as scratch:
        fetched = Path(scratch) / "lib"
        _fetch(fetched)
        problem = _damaged(fetched)
        if problem is not None:
            raise ServiceError(
                f"expected the Kafka jars of {HERE / 'jars.sha256'}, got {problem}; "
                "if a mirror serves Maven Central here, compare its copy with the original"
            )
        shutil.rmtree(LIBRARY, ignore_errors=True)
        try:
            fetched.rename(LIBRARY)
        except OSError:  # another `up` put its own verified copy there in between
            if _damaged(LIBRARY) is not None:
                raise
    return LIBRARY


def _fetch(target: Path) -> None:
    command = ["mvn", "-q", "-B", "-Dstyle.color=never", "-f", str(HERE / "pom.xml"), MAVEN_GOAL]
    command += [f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise ServiceError("expected Maven to fetch Kafka, found no `mvn`; run deploy/setup.sh") from missing
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise ServiceError(f"expected Maven to fetch Kafka, it failed (is the network or its proxy set up?):\n{last}")


def _damaged(folder: Path) -> str | None:
    """What differs from jars.sha256 in `folder`, in words; None when nothing does."""
    wanted = {}
    for line in (HERE / "jars.sha256").read_text().splitlines():
        digest, name = line.split()
        wanted[name] = digest
    present = {path.name for path in folder.glob("*.jar")}
    if present != set(wanted):
        return f"missing {sorted(set(wanted) - present)}, unexpected {sorted(present - set(wanted))}"
    for name, digest in wanted.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            return f"another checksum of {name}"
    return None
