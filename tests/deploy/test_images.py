"""What goes into an image: no more than runs, from hashed archives, without rights; and its bill of materials."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cyclonedx_schema import faults_in
from local_services import ROOT
from packaging.markers import Marker
from packaging.utils import canonicalize_name
from PIL import Image

IMAGES = ROOT / "deploy" / "images"
LOCK = IMAGES / "runtime.lock"
DOCKERFILES = sorted(IMAGES.glob("Dockerfile*"))
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
MARKED = re.compile(r"^([A-Za-z0-9._-]+)==\S+ ; ([^\\\n]+)", re.MULTILINE)  # of what some Pythons alone need
STATUS = """Package: bsdutils
Status: install ok installed
Architecture: amd64
Source: util-linux (2.38.1-5+deb12u3)
Version: 1:2.38.1-5+deb12u3
Description: basic utilities
 Version: 9 of a description's second line is no field

Package: left-over
Status: deinstall ok config-files
Architecture: all
Version: 1.0

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u13
"""


def packages(*command: str) -> str:
    return subprocess.run(
        [sys.executable, str(IMAGES / "packages.py"), *command], capture_output=True, text=True, check=True
    ).stdout


def instructions(dockerfile: Path) -> list[list[str]]:
    text = re.sub(r"\\\n\s*", "", dockerfile.read_text())
    return [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]


def test_the_lock_of_the_image_is_what_the_project_needs_to_run(tmp_path: Path) -> None:
    before = LOCK.read_text()
    try:
        packages("lock")
        assert LOCK.read_text() == before, "run deploy/images/packages.py lock"
    finally:
        LOCK.write_text(before)
    names = {canonicalize_name(name) for name, _ in PIN.findall(before)}
    assert {"torch", "kafka-python", "redis", "typer"} <= names
    assert not {"pytest", "mypy", "ruff", "anomalib", "moto", "hypothesis", "pip"} & names


def test_every_package_of_the_image_has_hashes_and_one_version_that_is_locked() -> None:
    text = LOCK.read_text()
    blocks = [block for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if PIN.match(block)]
    pins = PIN.findall(text)
    assert len(blocks) == len(pins) == len({name for name, _ in pins})
    assert all("--hash=sha256:" in block for block in blocks)
    assert set(pins) <= set(PIN.findall((ROOT / "deploy" / "requirements.lock").read_text()))
    if sys.version_info[:2] == (3, 11):
        assert all(importlib.metadata.version(name) == version for name, version in pins if name in names_here())


def names_here() -> list[str]:
    """Return the names of the lock's packages, without those that another Python of the release needs."""
    elsewhere = {name for name, marker in MARKED.findall(LOCK.read_text()) if not Marker(marker.strip()).evaluate()}
    return [name for name, _ in PIN.findall(LOCK.read_text()) if name not in elsewhere]


def test_the_image_runs_also_on_the_python_of_debian() -> None:
    """Which is 3.11.2: redis asks for more there than with a later one."""
    marked = dict(MARKED.findall(LOCK.read_text()))
    assert Marker(marked["async-timeout"].strip()).evaluate({"python_full_version": "3.11.2"})
    assert not Marker(marked["async-timeout"].strip()).evaluate({"python_full_version": "3.11.14"})


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_made_in_stages_from_a_base_that_is_pinned(dockerfile: Path) -> None:
    steps = instructions(dockerfile)
    verbs = [step[0] for step in steps]
    arguments = [step[1] for step in steps]
    assert verbs.count("FROM") == 2
    assert all(argument.startswith("${BASE}") for verb, argument in steps if verb == "FROM")
    assert "ADD" not in verbs
    assert steps[0][0] == "ARG"
    assert re.fullmatch(r"BASE=docker\.io/library/[a-z0-9./:-]+@sha256:[0-9a-f]{64}", steps[0][1])
    last_from = len(verbs) - 1 - verbs[::-1].index("FROM")
    final = list(zip(verbs, arguments, strict=True))[last_from:]
    assert [argument for verb, argument in final if verb == "USER"] == ["10001:10001"]
    assert [argument for verb, argument in final if verb == "COPY"] == ["--from=build /opt/inspector /opt/inspector"]
    assert any("org.opencontainers.image.revision" in argument for verb, argument in final if verb == "LABEL")
    installs = [part for argument in arguments for part in argument.split("&&") if "pip install" in part]
    assert all("--no-deps" in part and ("--require-hashes" in part or "wheels/" in part) for part in installs)


def test_the_bill_of_materials_lists_what_is_in_the_image() -> None:
    bom = json.loads(packages("sbom"))
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    listed = {(each["name"], each["version"]) for each in bom["components"] if each["type"] == "library"}
    assert listed == set(PIN.findall(LOCK.read_text()))
    torch = next(each for each in bom["components"] if each["name"] == "torch")
    assert torch["purl"] == f"pkg:pypi/torch@{torch['version']}"
    assert all(re.fullmatch("[0-9a-f]{64}", digest["content"]) for digest in torch["hashes"])
    models = [each for each in bom["components"] if each["type"] == "machine-learning-model"]
    assert [model["name"] for model in models] == ["efficientnet-lite0", "inspector-s", "inspector-s-types"]
    clip = {"open_clip_model.safetensors", "prompts.safetensors"}
    files = {"efficientnet-lite0": {"weights.safetensors"}, "inspector-s": clip, "inspector-s-types": clip}
    for model in models:
        file = next(name for name in sorted(files[model["name"]]) if name != "prompts.safetensors")
        weights = (ROOT / "inspector" / "models" / model["name"] / file).read_bytes()
        assert [digest["content"] for digest in model["hashes"]] == [hashlib.sha256(weights).hexdigest()]
        assert [each["license"]["id"] for each in model["licenses"]] == ["Apache-2.0"]
        assert {each["name"] for each in model["components"]} == files[model["name"]]
    assert packages("sbom") == packages("sbom")


def test_the_bill_of_a_built_image_lists_its_system_as_scanners_look_it_up(tmp_path: Path) -> None:
    components = json.loads(packages("sbom", "--root", str(planted_root(tmp_path))))["components"]
    assert [(each["name"], each["version"]) for each in components if each["type"] == "operating-system"] == [
        ("debian", "12")
    ]
    assert [each["purl"] for each in components if each.get("purl", "").startswith("pkg:deb/")] == [
        "pkg:deb/debian/bsdutils@1:2.38.1-5%2Bdeb12u3?arch=amd64&distro=debian-12"
        "&upstream=util-linux%402.38.1-5%2Bdeb12u3",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64&distro=debian-12&upstream=glibc",
    ]
    assert "pkg:generic/python@3.11.14" in [each.get("purl") for each in components]
    (model,) = (each for each in components if each["type"] == "machine-learning-model")
    assert model["hashes"][0]["content"] == hashlib.sha256(b"weights of the image").hexdigest()


def test_the_bill_of_a_built_image_lists_of_the_lock_what_is_installed(tmp_path: Path) -> None:
    """The lock has packages that some Pythons alone need."""
    root = planted_root(tmp_path)
    pins = dict(PIN.findall(LOCK.read_text()))
    site = root / "opt" / "inspector" / "lib" / "python3.11" / "site-packages"
    for folder in (f"typing_extensions-{pins['typing-extensions']}", f"torch-{pins['torch']}", "redis-1.0", "pip-24.0"):
        (site / f"{folder}.dist-info").mkdir()
    components = json.loads(packages("sbom", "--root", str(root)))["components"]
    listed = {each["name"] for each in components if each.get("purl", "").startswith("pkg:pypi/")}
    assert listed == {"typing-extensions", "torch"}


@pytest.mark.parametrize(
    ("gone", "told"), [("VERSION_ID", "no VERSION_ID"), ("weights", "open_clip_model.safetensors")]
)
def test_what_a_bill_needs_and_an_image_has_not_is_told_in_a_line(tmp_path: Path, gone: str, told: str) -> None:
    root = planted_root(tmp_path)
    if gone == "weights":
        next(root.rglob("open_clip_model.safetensors")).unlink()
    else:
        (root / "etc" / "os-release").write_text("ID=debian\n")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        packages("sbom", "--root", str(root))
    assert told in failed.value.stderr
    assert failed.value.stderr.count("\n") == 1


def test_a_folder_that_is_no_image_of_ours_gives_no_bill(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        packages("sbom", "--root", str(tmp_path))
    assert "mount the image" in failed.value.stderr
    assert "Traceback" not in failed.value.stderr


@pytest.mark.long  # it downloads the schema
def test_the_bills_of_materials_are_as_the_schema_says(tmp_path: Path) -> None:
    faults = faults_in(tmp_path)
    root = planted_root(tmp_path / "root")
    for of in (("cpu",), ("cuda",), ("cpu", "--root", str(root))):
        assert faults(json.loads(packages("sbom", *of))) == []
    assert faults({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "library"}]})


def planted_root(folder: Path) -> Path:
    """Return a folder with what a bill is made of in a built image."""
    model = folder / "opt" / "inspector" / "lib" / "python3.11" / "site-packages" / "inspector" / "models" / "small"
    planted = {
        folder / "etc" / "os-release": 'PRETTY_NAME="Debian"\nVERSION_ID="12"\nID=debian\n',
        folder / "var" / "lib" / "dpkg" / "status": STATUS,
        folder / "usr" / "local" / "include" / "python3.11" / "patchlevel.h": '#define PY_VERSION      "3.11.14"\n',
        model / "open_clip_model.safetensors": "weights of the image",
    }
    for path, text in planted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_image_for_gpus_has_what_tells_how_busy_they_are_and_says_so() -> None:
    more = set(PIN.findall((IMAGES / "cuda.lock").read_text()))
    assert {name for name, _ in more} == {"nvidia-ml-py"}
    plain, cuda = (
        {(each["name"], each["version"]) for each in json.loads(text)["components"] if each["type"] == "library"}
        for text in (packages("sbom"), packages("sbom", "cuda"))
    )
    assert cuda == plain | more
    installs = [step[1] for step in instructions(IMAGES / "Dockerfile.cuda") if "pip install" in step[1]]
    assert "-r runtime.lock -r cuda.lock" in installs[0]


@pytest.mark.long
def test_the_locked_packages_alone_score_a_picture(tmp_path: Path) -> None:
    """Nothing of what tests need is there, as in the image; the bundled model is inside, so no network is needed."""
    site = tmp_path / "site"
    site.mkdir()
    installed = Path(np.__file__).parents[1]
    for name in names_here():
        for top in {file.parts[0] for file in importlib.metadata.files(name) or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(installed / top)
    (site / "inspector").symlink_to(ROOT / "inspector")
    code = "import sys; from inspector.cli import main; sys.argv = ['inspector', 'score', *sys.argv[1:]]; main()"
    picture = tmp_path / "part.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)).save(picture)
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(picture), "--json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 0 <= json.loads(done.stdout)["results"][0]["anomaly_score"] <= 1
