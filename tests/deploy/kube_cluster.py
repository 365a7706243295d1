"""A real Kubernetes control plane on this machine, without kubelets: KWOK plays nodes, pods and volumes.

API server, admission, controllers and the scheduler are the real ones. No container runs, no packet is filtered, no
operator acts on the custom resources.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local_services import ROOT

BUILD = Path(__file__).parent / "control_plane" / "build.py"
NODES = Path(__file__).parent / "control_plane" / "cluster.yaml"
_HOST = "127.0.0.1"


class ClusterError(RuntimeError):
    """The control plane does not come up, or kubectl was refused."""


@dataclass(frozen=True)
class Cluster:
    """An API server to talk to. ``built`` holds the programs, ``run`` what this one cluster needs."""

    built: Path
    run: Path

    def kubectl(self, *arguments: str, told: str | None = None) -> str:
        """Return what kubectl prints, ``told`` on its standard input. Raises ClusterError with its words."""
        done = self.ask(*arguments, told=told)
        if done.returncode != 0:
            raise ClusterError(done.stderr.strip())
        return done.stdout

    def ask(self, *arguments: str, told: str | None = None) -> subprocess.CompletedProcess[str]:
        """Return kubectl's exit code, output and words; a warning is among the words."""
        command = [str(self.built / "bin" / "kubectl"), f"--kubeconfig={self.run / 'kubeconfig'}", *arguments]
        stdin = {"input": told} if told is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=400, **stdin)

    def get(self, *arguments: str) -> dict[str, object]:
        """Return what ``kubectl get`` knows, as its JSON."""
        found: dict[str, object] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found


def built() -> Path:
    """Return the folder of the control plane's programs; the first time that takes long."""
    folder = ROOT / ".cache" / "kube"
    subprocess.run([sys.executable, str(BUILD), str(folder)], check=True)
    return folder


@contextlib.contextmanager
def cluster_running(folder: Path, run: Path) -> Iterator[Cluster]:
    """An empty cluster for the length of a ``with`` block, its state in ``run``."""
    run.mkdir(parents=True)
    run.chmod(0o700)
    cluster = Cluster(folder, run)
    with contextlib.ExitStack() as until_it_ends:
        _start_all(cluster, until_it_ends)
        yield cluster


def _start_all(cluster: Cluster, until_it_ends: contextlib.ExitStack) -> None:
    def start(program: str, *options: str) -> None:
        until_it_ends.enter_context(_daemon(cluster, program, options))

    run, (client, peer, api) = cluster.run, _free_ports(3)
    etcd, accounts = f"http://{_HOST}:{client}", run / "accounts.key"
    token = secrets.token_hex(16)
    (run / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    subprocess.run(["openssl", "genrsa", "-out", str(accounts), "2048"], check=True, capture_output=True)
    _write_kubeconfig(run, api, token)
    start(
        "etcd", f"--data-dir={run / 'etcd'}", "--unsafe-no-fsync", f"--listen-client-urls={etcd}",
        f"--advertise-client-urls={etcd}", f"--listen-peer-urls=http://{_HOST}:{peer}",
        f"--initial-advertise-peer-urls=http://{_HOST}:{peer}", f"--initial-cluster=default=http://{_HOST}:{peer}",
    )  # fmt: skip
    start(
        "kube-apiserver", f"--etcd-servers={etcd}", f"--bind-address={_HOST}", f"--secure-port={api}",
        f"--advertise-address={_HOST}", "--endpoint-reconciler-type=none", f"--cert-dir={run / 'cert'}",
        f"--token-auth-file={run / 'tokens.csv'}", "--authorization-mode=RBAC",
        "--allow-privileged=true",  # as clusters do: what refuses such a pod is its namespace's policy
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={accounts}", f"--service-account-signing-key-file={accounts}",
    )  # fmt: skip
    _wait_until_ready(cluster)
    cluster.kubectl("apply", "--server-side", "-f", str(cluster.built / "crds"))
    kubeconfig = f"--kubeconfig={run / 'kubeconfig'}"
    alone = (kubeconfig, "--secure-port=0", "--leader-elect=false")
    start(
        "kube-controller-manager", *alone, f"--service-account-private-key-file={accounts}",
        f"--root-ca-file={run / 'cert' / 'apiserver.crt'}",
    )  # fmt: skip
    start("kube-scheduler", *alone)
    stages = cluster.built / "kwok" / "stages.yaml"
    # Without leases of the nodes' own they turn NotReady after about a minute.
    start("kwok", kubeconfig, f"--config={stages}", "--manage-all-nodes", "--node-lease-duration-seconds=40")
    cluster.kubectl("create", "-f", str(NODES))
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=300s")
    cluster.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=300s")


@contextlib.contextmanager
def _daemon(cluster: Cluster, program: str, options: tuple[str, ...]) -> Iterator[None]:
    log = cluster.run / f"{program}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(cluster.built / "bin" / program), *options], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(cluster: Cluster) -> None:
    deadline_s = time.monotonic() + 600
    while (said := cluster.ask("get", "--raw", "/readyz")).returncode != 0:
        if time.monotonic() > deadline_s:
            log = (cluster.run / "kube-apiserver.log").read_text()
            raise ClusterError(f"the API server does not answer: {said.stderr}\n{log[-3000:]}")
        time.sleep(0.3)


def _write_kubeconfig(run: Path, api: int, token: str) -> None:
    server = {"server": f"https://{_HOST}:{api}", "certificate-authority": str(run / "cert" / "apiserver.crt")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": server}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
        "current-context": "here",
    }
    (run / "kubeconfig").write_text(json.dumps(config))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server((_HOST, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
