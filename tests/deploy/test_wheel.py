"""The wheel holds what the package reads at run time beside its code: the bundled model above all."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from local_services import ROOT


def test_the_wheel_holds_the_model_and_every_other_file_of_the_package(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    needed = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "inspector").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert needed <= names
    assert {f"inspector/models/inspector-s/{name}" for name in ("open_clip_model.safetensors", "SHA256SUMS")} <= names
