"""The image is built and runs as k8s/ runs it: without rights, on a root that is read only, and here without network.

A registry cannot be had everywhere, so the base is made of Debian's packages: of the release, and with the Python, of
the official one that the Dockerfile names. What downloads packages is configured as on this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from local_services import ROOT
from PIL import Image

pytestmark = [pytest.mark.long, pytest.mark.timeout(5_400)]

BASE = "localhost/debian-python:3.11"
PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates,passwd"
IMAGE = "localhost/inspector:built"
USER = 10001
# Where a machine says how it reaches Debian's and Python's packages.
CONFIGURED_IN = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
# In the namespaces of its own: nothing but /tmp and the volume can be written, and there is no network.
AS_ON_A_NODE = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && mount -t tmpfs tmpfs "$1/tmp" && chmod 1777 "$1/tmp" &&
mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" &&
root=$1 && shift &&
exec chroot --userspec=10001:10001 "$root" /usr/bin/env -i PATH=/opt/inspector/bin:/usr/bin:/bin HOME=/tmp "$@"
"""


@dataclass(frozen=True)
class Builder:
    """Buildah with storage of its own."""

    folder: Path

    def __call__(self, *command: str) -> str:
        storage = ("--root", str(self.folder / "store"), "--runroot", str(self.folder / "run"))
        return told("buildah", *storage, *command)


def told(*command: str) -> str:
    """Return what a command prints; its last words where it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command[:8])} ...: exit code {done.returncode}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    for program in ("buildah", "mmdebstrap"):
        assert shutil.which(program), f"{program} is not here; tests/run.sh --long installs it"
    own = Builder(tmp_path_factory.mktemp("images"))
    base = own.folder / "base.tar"
    told("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(base))
    container = own("from", "scratch").strip()
    own("add", "--quiet", container, str(base), "/")
    own("config", "--env", "PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin", container)
    own("commit", "--quiet", "--rm", container, BASE)
    base.unlink()
    yield own
    own("rm", "--all")
    own("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def root(builder: Builder) -> Path:
    """Return the folder of the built image's files."""
    volumes = [f"--volume={path}:{path}:ro" for path in CONFIGURED_IN if Path(path).exists()]
    revision = told("git", "rev-parse", "HEAD").strip()
    builder(
        "build", "--isolation=chroot", *volumes, f"--build-arg=BASE={BASE}", f"--build-arg=REVISION={revision}",
        "--file=deploy/images/Dockerfile", f"--tag={IMAGE}", ".",
    )  # fmt: skip
    described = json.loads(builder("inspect", "--type=image", IMAGE))["OCIv1"]["config"]
    assert described["User"] == f"{USER}:{USER}"
    assert described["Entrypoint"] == ["inspector"]
    assert described["Labels"]["org.opencontainers.image.revision"] == revision
    container = builder("from", IMAGE).strip()
    return Path(builder("mount", container).strip())


def in_image(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    isolated = ("unshare", "--net", "--mount", "--pid", "--fork", "sh", "-c", AS_ON_A_NODE, "sh", str(root))
    return subprocess.run([*isolated, *command], capture_output=True, text=True, check=False)


def test_a_picture_is_scored_by_the_bundled_model_alone(root: Path) -> None:
    picture = root / "part.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)).save(picture)
    done = in_image(root, "inspector", "score", "/part.png", "--json")
    assert done.returncode == 0, done.stderr
    assert 0 <= json.loads(done.stdout)["results"][0]["anomaly_score"] <= 1


def test_who_runs_there_has_no_rights_and_nowhere_to_write(root: Path) -> None:
    said = in_image(
        root, "sh", "-c", "id -u; id -G; touch /app/x /opt/inspector/x /etc/x; touch /tmp/x && echo written"
    )
    assert said.stdout.split() == [str(USER), str(USER), "written"]
    assert said.stderr.count("Read-only file system") == 3
    privileged = [
        path
        for folder, _, names in os.walk(root / "opt")
        for path in (Path(folder) / name for name in names)
        if path.lstat().st_mode & 0o6000
    ]
    assert privileged == []


def test_only_what_runs_is_in_it(root: Path) -> None:
    site = next((root / "opt" / "inspector" / "lib").glob("python3.*")) / "site-packages"
    there = {path.name for path in site.iterdir()}
    assert {"inspector", "torch", "kafka"} <= there
    assert not {"pip", "pytest", "mypy", "wheel"} & there
    assert not (root / "build").exists()
    size_mb = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6
    print(f"\nthe image's files: {size_mb:,.0f} MB")
