"""Both images are built and run as k8s/ runs them: without rights, on a root that is read only, and without network.

A registry cannot be had everywhere, so the base is made of Debian's packages: of the release, and with the Python, of
the official one that the Dockerfiles name. The locked archives are downloaded once, as this machine is configured to,
and both builds have no others. There is no GPU: of the image for one, what can be told without is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cyclonedx_schema import faults_in
from local_services import ROOT
from packaging.utils import canonicalize_name
from PIL import Image as Picture

pytestmark = [pytest.mark.long, pytest.mark.timeout(5_400)]

BASE = "localhost/debian-python:3.11"
PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates,passwd"
USER = 10001
# Where a machine says how it reaches Debian's and Python's packages.
CONFIGURED_IN = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
ARCHIVES = "/var/cache/archives"
PIP_DOWNLOAD = f"/venv/bin/pip download --quiet --no-cache-dir --require-hashes --no-deps --dest {ARCHIVES}"
# Two commands: a package may be in both locks.
DOWNLOAD = f"""
python -m venv /venv && cd /locks &&
{PIP_DOWNLOAD} -r runtime.lock -r cuda.lock && {PIP_DOWNLOAD} -r build.lock
"""
ONLY_THOSE = f"[global]\nno-index = true\nfind-links = {ARCHIVES}\n"
# In the namespaces of its own: nothing but /tmp and the volume can be written, and there is no network.
AS_ON_A_NODE = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && mount -t tmpfs tmpfs "$1/tmp" && chmod 1777 "$1/tmp" &&
mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" &&
root=$1 && shift &&
exec chroot --userspec=10001:10001 "$root" /usr/bin/env -i -C /app HOME=/tmp "$@"
"""
LIBRARIES = """
import json, torch
libraries = {line.split("/")[-1].split(".so")[0] for line in open("/proc/self/maps") if "/opt/inspector/" in line}
print(json.dumps({"cuda": torch.version.cuda, "gpu": torch.cuda.is_available(), "libraries": sorted(libraries)}))
"""


@dataclass(frozen=True)
class Builder:
    """Buildah with storage of its own."""

    folder: Path

    def __call__(self, *command: str) -> str:
        storage = ("--root", str(self.folder / "store"), "--runroot", str(self.folder / "run"))
        return told("buildah", *storage, *command)


@dataclass(frozen=True)
class Image:
    """A built image: ``cpu``'s or ``cuda``'s, the folder of its files, and what it sets in the environment."""

    kind: str
    root: Path
    environment: tuple[str, ...]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as on a node; leading ones like ``NAME=value`` are variables."""
        isolated = ("unshare", "--net", "--mount", "--pid", "--fork", "sh", "-c", AS_ON_A_NODE, "sh", str(self.root))
        return subprocess.run([*isolated, *self.environment, *command], capture_output=True, text=True, check=False)


def told(*command: str) -> str:
    """Return what a command prints; its last words where it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command[:8])} ...: exit code {done.returncode}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    """Buildah with the base, and with the archives that both images take."""
    for program in ("buildah", "mmdebstrap"):
        assert shutil.which(program), f"{program} is not here; tests/run.sh --long installs it"
    own = Builder(tmp_path_factory.mktemp("images"))
    base = own.folder / "base.tar"
    told("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(base))
    container = own("from", "scratch").strip()
    own("add", "--quiet", container, str(base), "/")
    own("config", "--env", "PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin", container)
    own("commit", "--quiet", container, BASE)
    base.unlink()
    archives, locks = own.folder / "archives", own.folder / "locks"
    archives.mkdir()
    locks.mkdir()
    for lock in ("images/runtime.lock", "images/cuda.lock", "build.lock"):
        shutil.copy(ROOT / "deploy" / lock, locks)
    configured = [f"--volume={path}:{path}:ro" for path in CONFIGURED_IN if Path(path).exists()]
    mounted = (f"--volume={archives}:{ARCHIVES}", f"--volume={locks}:/locks:ro", *configured)
    own("run", "--isolation=chroot", *mounted, container, "sh", "-c", DOWNLOAD)
    own("rm", container)
    yield own
    own("rm", "--all")
    own("rmi", "--all", "--force")
    shutil.rmtree(archives)


@pytest.fixture(scope="module", params=["cpu", "cuda"])
def image(builder: Builder, request: pytest.FixtureRequest) -> Iterator[Image]:
    """Each of the images; the one is gone before the other is built, as both are large."""
    kind: str = request.param
    dockerfile, name = f"Dockerfile{'.cuda' if kind == 'cuda' else ''}", f"localhost/inspector-{kind}:built"
    only_those = builder.folder / "pip.conf"
    only_those.write_text(ONLY_THOSE)
    revision = told("git", "rev-parse", "HEAD").strip()
    builder(
        "build", "--isolation=chroot", f"--volume={builder.folder / 'archives'}:{ARCHIVES}:ro",
        f"--volume={only_those}:/etc/pip.conf:ro", f"--build-arg=BASE={BASE}", f"--build-arg=REVISION={revision}",
        f"--file=deploy/images/{dockerfile}", f"--tag={name}", ".",
    )  # fmt: skip
    described = json.loads(builder("inspect", "--type=image", name))["OCIv1"]["config"]
    assert described["User"] == f"{USER}:{USER}"
    assert described["Entrypoint"] == ["inspector"]
    assert described["Labels"]["org.opencontainers.image.revision"] == revision
    container = builder("from", name).strip()
    root = Path(builder("mount", container).strip())
    picture = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    Picture.fromarray(picture).save(root / "part.png")
    yield Image(kind, root, tuple(described["Env"]))
    builder("rm", container)
    builder("rmi", "--force", name)


def test_a_picture_is_scored_by_the_bundled_model_alone(image: Image) -> None:
    done = image.run("INSPECTOR_MODEL__DEVICE=cpu", "inspector", "score", "/part.png", "--json")
    assert done.returncode == 0, done.stderr
    assert 0 <= json.loads(done.stdout)["results"][0]["anomaly_score"] <= 1


def test_it_tells_its_version_and_what_its_line_lacks(image: Image) -> None:
    assert image.run("inspector", "--version").stdout == f"inspector {version('inspector')}\n"
    done = image.run("INSPECTOR_MODEL__DEVICE=cpu", "inspector", "doctor", "--json")
    states = {each["check"]: each["status"] for each in json.loads(done.stdout)["findings"]}
    assert {check: states[check] for check in ("kafka", "redis", "device", "model", "weights")} == {
        "kafka": "fail", "redis": "fail", "device": "ok", "model": "ok", "weights": "ok",
    }  # fmt: skip
    assert "Traceback" not in done.stderr


def test_a_gpu_that_is_not_there_is_told_in_a_line(image: Image) -> None:
    asked = () if image.kind == "cuda" else ("INSPECTOR_MODEL__DEVICE=cuda",)  # the one for GPUs asks for one by itself
    done = image.run(*asked, "inspector", "score", "/part.png", "--json")
    assert done.returncode == 1
    assert "model.device" in done.stderr
    assert "NVIDIA driver" in done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads(image.run(*asked, "inspector", "doctor", "--json").stdout)["findings"]
    assert [each["status"] for each in found if each["check"] == "device"] == ["fail"]


def test_torch_finds_its_cuda_libraries_and_the_one_for_gpus_what_asks_how_busy_they_are(image: Image) -> None:
    done = image.run("python", "-c", LIBRARIES)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["cuda"] is not None
    assert found["gpu"] is False
    assert {"libtorch_cuda", "libcudart", "libcublas", "libcudnn"} <= set(found["libraries"])
    asked = image.run("python", "-c", "import pynvml; pynvml.nvmlInit()")
    assert asked.stderr.splitlines()[-1].startswith(
        "pynvml.NVMLError_LibraryNotFound" if image.kind == "cuda" else "ModuleNotFoundError"
    )


def test_who_runs_there_has_no_rights_and_nowhere_to_write(image: Image) -> None:
    said = image.run("sh", "-c", "id -u; id -G; touch /app/x /opt/inspector/x /etc/x; touch /tmp/x && echo written")
    assert said.stdout.split() == [str(USER), str(USER), "written"]
    assert said.stderr.count("Read-only file system") == 3
    privileged = [
        path
        for folder, _, names in os.walk(image.root / "opt")
        for path in (Path(folder) / name for name in names)
        if path.lstat().st_mode & 0o6000
    ]
    assert privileged == []


def test_only_what_runs_is_in_it(image: Image) -> None:
    there = {path.name for path in site_packages(image).iterdir()}
    assert {"inspector", "torch", "kafka"} <= there
    assert not {"pip", "pytest", "mypy", "wheel"} & there
    assert not (image.root / "build").exists()
    files = [path for path in image.root.rglob("*") if path.is_file() and not path.is_symlink()]
    of_python = sum(path.lstat().st_size for path in files if path.is_relative_to(site_packages(image)))
    size = sum(path.lstat().st_size for path in files)
    print(f"\nfiles of {image.kind}'s image: {size / 1e6:,.0f} MB, {of_python / 1e6:,.0f} MB of them Python packages")


def test_its_bill_of_materials_lists_what_is_in_it(image: Image, tmp_path: Path) -> None:
    printed = told(sys.executable, "deploy/images/packages.py", "sbom", image.kind, "--root", str(image.root))
    bom = json.loads(printed)
    assert faults_in(tmp_path)(bom) == []
    listed = {of: named(bom, f"pkg:{of}/") for of in ("pypi", "deb")}
    installed = {
        (canonicalize_name(name), number)
        for name, number in (path.stem.split("-") for path in site_packages(image).glob("*.dist-info"))
    }
    assert {(canonicalize_name(name), number) for name, number in listed["pypi"]} == installed - {
        ("inspector", version("inspector"))
    }
    told_by_dpkg = image.run("dpkg-query", "--show", "--showformat=${Package} ${Version}\n").stdout.splitlines()
    assert listed["deb"] == {tuple(line.split()) for line in told_by_dpkg}
    models = [each for each in bom["components"] if each["type"] == "machine-learning-model"]
    assert {model["name"] for model in models} == {"efficientnet-lite0", "inspector-s", "inspector-s-types"}
    for model in models:
        sums = (site_packages(image) / "inspector" / "models" / model["name"] / "SHA256SUMS").read_text()
        assert f"{model['hashes'][0]['content']}  open_clip_model.safetensors" in sums


def named(bom: dict[str, Any], kind: str) -> set[tuple[str, str]]:
    return {(each["name"], each["version"]) for each in bom["components"] if each.get("purl", "").startswith(kind)}


def site_packages(image: Image) -> Path:
    return next((image.root / "opt" / "inspector" / "lib").glob("python3.*")) / "site-packages"
