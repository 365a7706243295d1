"""The bill of materials of an image as CycloneDX 1.6: Python packages, the bundled model; once built, Debian packages.

Packages are named as scanners look them up (purl): Debian's with their release, and with the source package that
Debian's security notices name.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.utils import canonicalize_name, canonicalize_version

PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\\n]+))?", re.MULTILINE)
_FIELD = re.compile(r"^(Package|Status|Version|Architecture|Source): (.+)$", re.MULTILINE)
_RELEASE = re.compile(r'^(ID|VERSION_ID)="?([^"\n]+)"?$', re.MULTILINE)
_PYTHON_VERSION = re.compile(r'^#define PY_VERSION\s+"([^"]+)"', re.MULTILINE)
_SITE_PACKAGES = "opt/inspector/lib/python3.*/site-packages"
_WEIGHTS = ("open_clip_model.safetensors", "weights.safetensors")
_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 4122's of URLs

Component = dict[str, Any]


def of_image(lock: str, version: str, sources: Path, root: Path | None) -> str:
    """Return the bill of an image with what it has of ``lock``, as JSON; the same bytes for the same contents.

    Args:
        lock: Packages with the hashes of the archives that may be installed.
        version: The inspector's own.
        sources: The project's root; its model is listed where there is no ``root``.
        root: The files of the built image, where it is mounted: its model and Debian's packages are listed then, and
            of the lock what is installed, as some packages are for other Pythons.

    Raises:
        FileNotFoundError: ``root`` has no list of Debian's packages, or no inspector.
        ValueError: a model has no weights, or ``root`` does not say which release it is of.
    """
    package = sources / "inspector"
    components = list(python_packages(lock))
    if root is not None:
        installed = next(root.glob(_SITE_PACKAGES), None)
        if installed is None:
            raise FileNotFoundError(f"{root / _SITE_PACKAGES}: the folder of a built image's files was expected")
        package = installed / "inspector"
        there = {_named(*path.stem.split("-", 1)) for path in installed.glob("*.dist-info")}
        components = [each for each in components if _named(each["name"], each["version"]) in there]
        components += system(root)
    components += models(package / "models")
    digest = hashlib.sha256(json.dumps(components).encode()).hexdigest()
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "name": "inspector", "version": version, "licenses": _licence("Apache-2.0"),
            }
        },
        "components": components,
    }  # fmt: skip
    return json.dumps(document, indent=1) + "\n"


def python_packages(lock: str) -> Iterator[Component]:
    """Yield what a lock pins; hashes are those of the archives that may be installed."""
    parts = PIN.split(lock)[1:]
    for name, version, rest in zip(parts[::4], parts[1::4], parts[3::4], strict=True):
        purl = f"pkg:pypi/{canonicalize_name(name)}@{version}"
        hashes = [_sha256(digest) for digest in re.findall(r"sha256:([0-9a-f]{64})", rest)]
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "hashes": hashes}


def system(root: Path) -> Iterator[Component]:
    """Yield the distribution, its packages that are installed in ``root``, and a Python that is none of them.

    Raises:
        ValueError: it does not say which distribution and release it is, as purls have it.
    """
    described = root / "etc" / "os-release"
    release = dict(_RELEASE.findall(described.read_text()))
    if absent := {"ID", "VERSION_ID"} - release.keys():  # a distribution's testing release has no number
        raise ValueError(f"{described}: no {' and no '.join(sorted(absent))}, by which packages are looked up")
    vendor, number = release["ID"], release["VERSION_ID"]
    yield {"type": "operating-system", "bom-ref": f"{vendor}-{number}", "name": vendor, "version": number}
    for entry in (root / "var" / "lib" / "dpkg" / "status").read_text().split("\n\n"):
        fields = dict(_FIELD.findall(entry))
        if fields.get("Status") != "install ok installed":
            continue
        name, version = fields["Package"], fields["Version"]
        purl = f"pkg:deb/{vendor}/{_quoted(name)}@{_quoted(version)}"
        purl += f"?arch={fields['Architecture']}&distro={vendor}-{number}"
        if "Source" in fields:  # "NAME" or "NAME (VERSION)", where they are not the package's own
            source, _, of_source = fields["Source"].rstrip(")").partition(" (")
            purl += f"&upstream={quote(f'{source}@{of_source}' if of_source else source, safe='')}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    for header in sorted(root.glob("usr/local/include/python3.*/patchlevel.h")):
        found = _PYTHON_VERSION.search(header.read_text())
        if found is not None:  # the official base's, built from source
            purl = f"pkg:generic/python@{found[1]}"
            yield {"type": "application", "bom-ref": purl, "name": "python", "version": found[1], "purl": purl}


def models(folder: Path) -> Iterator[Component]:
    """Yield the models in ``folder``, each with its files, by the content that lies there.

    Raises:
        ValueError: one has no weights.
    """
    for model in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = [
            {"type": "file", "bom-ref": f"model:{model.name}/{path.name}", "name": path.name, "hashes": [_of(path)]}
            for path in sorted(model.glob("*.safetensors"))
        ]
        weights = next((file for file in files if file["name"] in _WEIGHTS), None)
        if weights is None:
            raise ValueError(f"{model}: none of {', '.join(_WEIGHTS)}, the weights of the model")
        yield {
            "type": "machine-learning-model",
            "bom-ref": f"model:{model.name}",
            "name": model.name,
            "description": "for visual inspection; MODEL_CARD.md says what it learned from",
            "hashes": weights["hashes"],
            "licenses": _licence("Apache-2.0"),
            "components": files,
        }


def _named(name: str, version: str) -> tuple[str, str]:
    return canonicalize_name(name), canonicalize_version(version)


def _of(path: Path) -> dict[str, str]:
    return _sha256(hashlib.sha256(path.read_bytes()).hexdigest())


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _licence(spdx: str) -> list[dict[str, dict[str, str]]]:
    return [{"license": {"id": spdx}}]


def _quoted(text: str) -> str:
    return quote(text, safe=":")  # purl: a colon stands for itself
