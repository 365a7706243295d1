#!/usr/bin/env python3
"""What goes into an image: the part of deploy/requirements.lock that runs, and its bill of materials.

packages.py lock                         writes deploy/images/runtime.lock: no test, lint or type package
packages.py sbom [cuda] [--root FOLDER]  prints the bill as CycloneDX 1.6 (JSON), `cuda`: of Dockerfile.cuda; where the
                                         built image is mounted in FOLDER, with its Debian packages
Run it with the project's .venv, whose packages say what needs what.
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import bill
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FULL_LOCK = ROOT / "deploy" / "requirements.lock"
RUNTIME_LOCK = ROOT / "deploy" / "images" / "runtime.lock"
CUDA_LOCK = ROOT / "deploy" / "images" / "cuda.lock"
_HEAD = "# Written by deploy/images/packages.py from deploy/requirements.lock: what an image needs to run.\n"
# The image's own, whatever runs this: the lock holds several versions of some packages, for other Pythons and machines.
# Of Python 3.11 the oldest, as Debian has it: what it alone needs keeps its marker, so that a newer one leaves it out.
_IMAGE = {
    "python_version": "3.11",
    "python_full_version": "3.11.2",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
}


def needed(root: str = "inspector") -> set[str]:
    """Return the packages that ``root`` needs to run in the image, itself left out; names are canonical."""
    found: set[tuple[str, str]] = set()
    not_here: set[str] = set()
    waiting = [(root, "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for text in [] if name in not_here else distribution(name).requires or []:
            requirement = Requirement(text)
            of = canonicalize_name(requirement.name)
            if requirement.marker is not None:
                if not requirement.marker.evaluate({**_IMAGE, "extra": extra}):
                    continue
                if not requirement.marker.evaluate({"extra": extra}):
                    not_here.add(of)
            waiting += [(of, each) for each in ("", *requirement.extras)]
    return {name for name, _ in found} - {root}


def locked() -> dict[str, str]:
    """Return of each package the block of the full lock (its pin with the hashes) that holds in the image."""
    text = FULL_LOCK.read_text()
    pins = list(bill.PIN.finditer(text))
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


def sbom(image: str, root: Path | None) -> str:
    """Return the bill of ``cpu``'s or ``cuda``'s image; ``root``: its files, once it is built.

    Raises:
        SystemExit: ``root`` is not what an image of ours has, or something that a bill tells of is not in it.
    """
    lock = RUNTIME_LOCK.read_text() + (CUDA_LOCK.read_text() if image == "cuda" else "")
    try:
        return bill.of_image(lock, distribution("inspector").version, ROOT, root)
    except FileNotFoundError as error:
        sys.exit(f"packages: {error}; mount the image and give that folder")
    except ValueError as error:
        sys.exit(f"packages: {error}")


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("lock", help="write runtime.lock")
    bill_of = commands.add_parser("sbom", help="print the bill of materials")
    bill_of.add_argument("image", nargs="?", choices=("cpu", "cuda"), default="cpu", help="which (default: cpu)")
    bill_of.add_argument("--root", type=Path, help="where the built image is mounted: lists Debian's packages, too")
    given = parser.parse_args()
    if given.command == "lock":
        RUNTIME_LOCK.write_text(runtime_lock())
    else:
        sys.stdout.write(sbom(given.image, given.root))


if __name__ == "__main__":
    main()
