#!/usr/bin/env python3
"""What goes into an image: the part of deploy/requirements.lock that runs, and its bill of materials.

packages.py lock         writes deploy/images/runtime.lock: no test, lint or type package
packages.py sbom         prints it as CycloneDX 1.6 (JSON); the same bytes for the same lock
packages.py sbom cuda    the same for Dockerfile.cuda, which has cuda.lock besides
Run it with the project's .venv, whose packages say what needs what.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FULL_LOCK = ROOT / "deploy" / "requirements.lock"
RUNTIME_LOCK = ROOT / "deploy" / "images" / "runtime.lock"
CUDA_LOCK = ROOT / "deploy" / "images" / "cuda.lock"
_HEAD = "# Written by deploy/images/packages.py from deploy/requirements.lock: what an image needs to run.\n"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\\n]+))?", re.MULTILINE)
# The image's own, whatever runs this: the lock holds several versions of some packages, for other Pythons and machines.
_IMAGE = {
    "python_version": "3.11",
    "python_full_version": "3.11.13",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
}
_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 4122's of URLs


def needed(root: str = "inspector") -> set[str]:
    """Return the packages that ``root`` needs to run in the image, itself left out; names are canonical."""
    found: set[tuple[str, str]] = set()
    waiting = [(root, "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for text in distribution(name).requires or []:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({**_IMAGE, "extra": extra}):
                continue
            of = canonicalize_name(requirement.name)
            waiting += [(of, each) for each in ("", *requirement.extras)]
    return {name for name, _ in found} - {root}


def locked() -> dict[str, str]:
    """Return of each package the block of the full lock (its pin with the hashes) that holds in the image."""
    text = FULL_LOCK.read_text()
    pins = list(_PIN.finditer(text))
    ends = [pin.start() for pin in pins[1:]] + [len(text)]
    return {
        canonicalize_name(pin["name"]): text[pin.start() : end]
        for pin, end in zip(pins, ends, strict=True)
        if pin["marker"] is None or Marker(pin["marker"].strip()).evaluate({**_IMAGE, "extra": ""})
    }


def runtime_lock() -> str:
    """Return the lock of what runs.

    Raises:
        SystemExit: a package that is needed is not locked, or not installed here.
    """
    blocks = locked()
    try:
        names = needed()
    except PackageNotFoundError as error:
        sys.exit(f"packages: {error.name} is not installed; run deploy/setup.sh, and this with .venv/bin/python")
    if absent := sorted(names - blocks.keys()):
        sys.exit(f"packages: not in {FULL_LOCK.name}: {', '.join(absent)}; lock again")
    lines = (line for name in sorted(names) for line in blocks[name].splitlines() if not line.lstrip().startswith("#"))
    return _HEAD + "\n".join(lines) + "\n"


def sbom(lock: str) -> str:
    """Return the bill of materials of a lock, CycloneDX 1.6; hashes are those of the archives that may be installed."""
    parts = _PIN.split(lock)[1:]
    components = []
    for name, version, rest in zip(parts[::4], parts[1::4], parts[3::4], strict=True):
        purl = f"pkg:pypi/{canonicalize_name(name)}@{version}"
        hashes = [{"alg": "SHA-256", "content": digest} for digest in re.findall(r"sha256:([0-9a-f]{64})", rest)]
        components.append(
            {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "hashes": hashes}
        )
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, hashlib.sha256(lock.encode()).hexdigest())}",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "name": "inspector", "version": distribution("inspector").version}
        },
        "components": components,
    }
    return json.dumps(document, indent=1) + "\n"


def main() -> None:
    """Run one of the commands."""
    if sys.argv[1:] == ["lock"]:
        RUNTIME_LOCK.write_text(runtime_lock())
    elif sys.argv[1:] == ["sbom"]:
        sys.stdout.write(sbom(RUNTIME_LOCK.read_text()))
    elif sys.argv[1:] == ["sbom", "cuda"]:
        sys.stdout.write(sbom(RUNTIME_LOCK.read_text() + CUDA_LOCK.read_text()))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
