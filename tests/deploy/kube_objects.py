"""The objects of k8s/ as a cluster is given them: rendered by kustomize, or as they stand in the files."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from local_services import ROOT

K8S = ROOT / "k8s"
OVERLAYS = {name: K8S / "overlays" / name for name in ("dev", "cpu", "gpu", "secure")}
PLANTED = Path(__file__).parent / "planted"
BUILT = ROOT / ".cache" / "kube" / "bin"
BUILD = Path(__file__).parent / "control_plane" / "build.py"
_TEMPLATE_AT = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}

Object = dict[str, Any]


@dataclass(frozen=True)
class PodTemplate:
    """Pods as a workload makes them; ``owner`` is KIND/NAME."""

    owner: str
    labels: dict[str, str]
    spec: Object

    @property
    def runs_on(self) -> bool:
        """Whether it is to run for ever, so that somebody must tell whether it still does."""
        return not self.owner.startswith(("Job/", "CronJob/"))


def kustomize() -> list[str] | None:
    """Return the command that renders a folder, or None where there is none; tests/run.sh builds one if need be."""
    for program in (str(BUILT / "kubectl"), shutil.which("kubectl")):
        if program is not None and Path(program).exists():
            return [program, "kustomize"]
    return ["kustomize", "build"] if shutil.which("kustomize") else None


def rendered(folder: Path) -> list[Object]:
    """Return what an overlay comes to. Raises AssertionError with kustomize's words where it refuses."""
    command = kustomize()
    assert command is not None, f"neither kubectl nor kustomize is here; run {BUILD} {BUILT.parent} kubectl"
    # The planted faults lie outside of k8s/ and patch its overlays.
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def in_files(*folders: Path) -> list[Object]:
    """Return the whole objects of these folders' files, without what patches and generators make of them."""
    return [
        each
        for folder in folders
        for path in sorted(folder.rglob("*.yaml"))
        for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if isinstance(each, dict) and "kind" in each and each["kind"] not in ("Kustomization", "Component")
    ]


def of_kind(objects: Sequence[Object], *kinds: str) -> Iterator[Object]:
    """Yield the objects of these kinds."""
    return (each for each in objects if each["kind"] in kinds)


def named(each: Object) -> str:
    """Return KIND/NAME."""
    return f"{each['kind']}/{each['metadata']['name']}"


def pod_templates(objects: Sequence[Object]) -> Iterator[PodTemplate]:
    """Yield the pods that the workloads make."""
    for each in objects:
        if (path := _TEMPLATE_AT.get(each["kind"])) is None:
            continue
        template = each
        for key in path:
            template = template[key]
        yield PodTemplate(named(each), template.get("metadata", {}).get("labels", {}), template["spec"])


def told(objects: Sequence[Object], pod: PodTemplate) -> tuple[dict[str, str], str]:
    """Return what a pod of ours is told: its variables, and the text of inspector.yaml.

    What the cluster fills in, such as a pod's name or a number of cores, is 4. A map that is not there says nothing.
    """
    maps = {each["metadata"]["name"]: each.get("data", {}) for each in of_kind(objects, "ConfigMap")}
    container = pod.spec["containers"][0]
    variables: dict[str, str] = {}
    for source in container["envFrom"]:
        variables |= maps.get(source["configMapRef"]["name"], {})
    variables |= {each["name"]: each.get("value", "4") for each in container["env"]}
    config = next(volume["configMap"]["name"] for volume in pod.spec["volumes"] if "configMap" in volume)
    return variables, maps[config]["inspector.yaml"]


def script(path: Path) -> Any:
    """Return a script as a module, under a name that no other test's import meets."""
    name = f"script_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
