"""CycloneDX's own schema of a bill of materials, out of the package of its Python library."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from referencing import Registry, Resource

LIBRARY = "cyclonedx-python-lib==11.12.0 --hash=sha256:0e807521a921a5c3cb8ce1153f8a61d29eedfe76a46aac2796b7c6b573391a54"
SCHEMAS = {name: f"cyclonedx/schema/_res/{name}.SNAPSHOT.schema.json" for name in ("bom-1.6", "spdx", "jsf-0.82")}


def faults_in(folder: Path) -> Callable[[dict[str, Any]], list[str]]:
    """Return what tells how a bill differs from version 1.6 of the schema; it is downloaded into ``folder``."""
    (folder / "requirements.txt").write_text(LIBRARY)
    fetch = ("download", "--quiet", "--no-deps", "--require-hashes", "--requirement", "requirements.txt")
    subprocess.run([sys.executable, "-m", "pip", *fetch], cwd=folder, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        read = {name: json.loads(packed.read(path)) for name, path in SCHEMAS.items()}
    registry: Registry[Any] = Registry().with_resources(
        (f"http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json", Resource.from_contents(schema))
        for name, schema in read.items()
    )
    validator = Draft7Validator(read["bom-1.6"], registry=registry)
    return lambda bom: [f"{error.json_path}: {error.message}" for error in validator.iter_errors(bom)]
