"""Three Redis with sentinels, TLS and users: the rendered objects, and what they start with, on real servers."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from kube_objects import Object, PodTemplate, of_kind, pod_templates, rendered, told
from kube_policy import findings
from sentinel_files import SECURITY, as_sentinel, certificate, secrets
from sentinel_pods import HOSTS, PORTS, Pod, connects, names_of, primary_of, wait_for, write

from inspector import settings as all_settings
from inspector.adapters.redis.connection import RedisAccess, connect
from inspector.adapters.redis.sentinel import read_url
from inspector.domain.errors import CredentialsError
from inspector.settings import Settings

HERE = Path(__file__).parent
SECRETS = "/run/secrets/redis"
PLAIN_URL = f"redis+sentinel://{','.join(f'{host}:26380' for host in HOSTS)}/line"
URL = PLAIN_URL.replace("redis", "rediss", 1)
# With what a configuration file takes for more than a letter.
PASSWORDS = {"setup": "plant-7-summer", "replica": 'r"7 \\n#x', "sentinel": 's\'7 $HOME "q"'}


@pytest.fixture(scope="module")
def objects() -> Sequence[Object]:
    return rendered(HERE / "sentinel_secure")


def test_it_has_no_fault(objects: Sequence[Object]) -> None:
    assert findings(objects) == []


def test_whoever_asks_redis_is_known_to_the_sentinels_by_the_name_and_the_password_that_redis_knows(
    objects: Sequence[Object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = read_url(told_url(objects_of("sentinel")))
    asked = set()
    for pod in ours(objects):
        component = pod.labels["app.kubernetes.io/component"]
        settings = settings_of(objects, pod, monkeypatch, tmp_path).redis
        url = read_url(settings.url.get_secret_value())
        assert url.tls
        assert (url.sentinels, url.service) == (plain.sentinels, plain.service)
        assert settings.sentinel_username == settings.username
        assert settings.sentinel_password_file == settings.password_file
        assert (settings.username is None) == (component == "camera")  # cameras have no business with Redis
        asked.add(component)
    assert asked == {"camera", "inspector", "trainer", "serve", "watch", "backup"}


def test_servers_and_sentinels_have_the_secrets_that_their_scripts_read(objects: Sequence[Object]) -> None:
    (pod,) = (each for each in pod_templates(objects) if each.owner == "StatefulSet/redis")
    assert names_of(objects)["SECURED"] == SECRETS
    kept = {
        each["value"] for container in pod.spec["containers"] for each in container["env"] if each["name"] == "KEPT"
    }
    assert len(kept) == 2  # the tmp of both is one
    for container in pod.spec["containers"]:
        assert "args" not in container  # those of the one Redis of `secure`
        assert {"name": "secrets", "mountPath": SECRETS, "readOnly": True} in container["volumeMounts"]
        probes = [container[name]["exec"]["command"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
        assert all("/etc/redis/ask.sh" in probe[-1] or probe[-1] == "/etc/redis/alive.sh" for probe in probes)
    sources = next(each for each in pod.spec["volumes"] if each["name"] == "secrets")["projected"]["sources"]
    given = {item["path"] for source in sources for item in source["secret"].get("items", ())}
    assert given == {"users.acl", "sentinels.acl", "sentinel", "replica"}


def test_nobody_starts_the_pods_one_by_one_for_a_password_that_they_show_one_another(
    objects: Sequence[Object],
) -> None:
    (stateful,) = (each for each in of_kind(objects, "StatefulSet") if each["metadata"]["name"] == "redis")
    assert stateful["metadata"]["annotations"]["secret.reloader.stakater.com/reload"] == "redis-tls"


def test_a_script_that_another_one_starts_is_in_the_pod(objects: Sequence[Object]) -> None:
    given = next(
        each["data"] for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"].startswith("redis-config")
    )
    named = {name for text in given.values() for name in re.findall(r"\$CONFIG/([a-z.-]+)", text)}
    assert {"ask.sh", "keep.sh", "redis.conf"} <= named <= given.keys()


def test_one_redis_is_secured_as_before() -> None:
    (pod,) = (each for each in pod_templates(objects_of("../../k8s/overlays/secure")) if each.owner.endswith("/redis"))
    assert "--tls-port" in pod.spec["containers"][0]["args"]


def test_no_acl_file_is_written_of_passwords_that_are_not_there(tmp_path: Path) -> None:
    """An account with an empty one lets everybody in."""
    for content in (None, "\n", "two\nlines\n"):
        if content is not None:
            (tmp_path / "sentinel").write_text(content)
        command = [sys.executable, str(SECURITY / "sentinel.py"), "sentinels", "--passwords", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: expected a password")
    (tmp_path / "sentinel").write_text("of-plant-7\n")
    (tmp_path / "watch").write_text("of-watch\n")
    (tmp_path / "producer").write_text("who has no user of Redis\n")
    users = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in users.splitlines()] == ["default", "sentinel", "watch"]
    assert "user default off" in users
    assert "of-" not in users


def objects_of(folder: str) -> Sequence[Object]:
    return rendered(HERE / folder)


def told_url(objects: Sequence[Object]) -> str:
    return told(objects, next(ours(objects)))[0]["INSPECTOR_REDIS__URL"]


def settings_of(objects: Sequence[Object], pod: PodTemplate, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Settings:
    """What a process of the pod reads; a variable may name those before it, as the kubelet has it."""
    variables, config = told(objects, pod)
    known: dict[str, str] = {}
    for name, value in variables.items():
        known[name] = re.sub(r"\$\(([A-Z_]+)\)", lambda found: known.get(found[1], found[0]), value)
    (folder / "inspector.yaml").write_text(config)
    with monkeypatch.context() as environment:
        for name, value in known.items():
            environment.setenv(name, value)
        return all_settings.load(folder / "inspector.yaml")


def ours(objects: Sequence[Object]) -> Iterator[PodTemplate]:
    return (pod for pod in pod_templates(objects) if pod.labels["app.kubernetes.io/name"] == "inspector")


@contextlib.contextmanager
def running(folder: Path, objects: Sequence[Object], own: Path | None) -> Iterator[list[Pod]]:
    """All pods with the secrets of ``own``; without any, as the component alone starts them."""
    names = names_of(objects)
    options: dict[str, Any] = {}
    if own is not None:
        names |= {"SECURED": str(own)}
        options = as_sentinel(own)
    pods = [Pod(host, folder / host, names, options) for host in HOSTS]
    try:
        for pod in pods:
            pod.start()
        primary_of(pods)
        yield pods
    finally:
        for pod in pods:
            pod.end()


@pytest.mark.long
@pytest.mark.services
def test_servers_talk_tls_as_users_with_passwords_that_may_change_and_nothing_is_lost(
    tmp_path: Path, objects: Sequence[Object]
) -> None:
    own = secrets(tmp_path / "secrets", PASSWORDS)
    certificate(own)
    as_setup = RedisAccess("setup", PASSWORDS["setup"], str(own / "ca.crt"), None, None, "setup", PASSWORDS["setup"])
    with (  # a line that was not secured before
        running(tmp_path, objects_of("sentinel"), None) as pods,
        connect(PLAIN_URL, timeout_s=2) as client,
    ):
        write(client, "inspection:artefact:a", pods)

    configured = [tmp_path / host / "redis.conf" for host in HOSTS]
    for path in configured:
        path.chmod(0o644)
    with running(tmp_path, objects, own) as pods:
        assert {path.stat().st_mode & 0o777 for path in configured} == {0o600}  # they hold a password
        assert all(pod.lives() for pod in pods)
        wait_for(lambda: connects(URL, as_setup), pods)
        refuses_strangers(own, pods)
        with connect(URL, timeout_s=2, access=as_setup) as client:
            assert client.get("inspection:artefact:a") is not None
            write(client, "inspection:artefact:b", pods)
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.flushall()
            primary = primary_of(pods)
            primary.leave()
            write(client, "inspection:artefact:c", pods)
            primary.start()
            killed = primary_of(pods)
            assert killed is not primary
            killed.end()
            write(client, "inspection:artefact:d", pods)
            killed.start()
            primary_of(pods)

        # Passwords change for all pods at once (deploy/day-two/secrets.md).
        changed = {name: f"{password}-2" for name, password in PASSWORDS.items()}
        pods_that_run_keep_what_they_began_with(own, changed, pods)
        primary = next(pod for pod in pods if pod.role() == "master")
        rest = [pod for pod in pods if pod.role() is not None]
        for pod in rest:
            pod.end()
        for pod in rest:
            pod.start()
        for pod in pods:
            pod.options = as_sentinel(own)
        assert primary_of(pods) is primary
        now = RedisAccess("setup", changed["setup"], str(own / "ca.crt"), None, None, "setup", changed["setup"])
        wait_for(lambda: connects(URL, now), pods)
        with pytest.raises(CredentialsError, match=r"redis\.sentinel_username"):
            connect(URL, timeout_s=2, access=as_setup).close()
        with connect(URL, timeout_s=2, access=now) as client:
            assert all(client.get(f"inspection:artefact:{key}") for key in "abcd")


def pods_that_run_keep_what_they_began_with(own: Path, changed: Mapping[str, str], pods: Sequence[Pod]) -> None:
    """The kubelet brings a Secret that changes into pods that run; one that starts meanwhile must not be a primary."""
    last = primary_of(pods)
    rest = [pod for pod in pods if pod is not last]
    before = {path: path.read_bytes() for path in own.iterdir() if path.suffix in (".crt", ".key")}
    secrets(own, changed)
    certificate(own)
    assert all(pod.lives() for pod in pods)

    last.end()
    starts_and_waits(last, rest)
    script = last.running[-1]
    script.terminate()  # the first process of its container would ignore it, did it not say otherwise
    assert script.wait(30) == 128 + signal.SIGTERM
    last.end()
    for path, content in before.items():  # passwords alone are others
        path.write_bytes(content)
    starts_and_waits(last, rest)


def starts_and_waits(last: Pod, rest: Sequence[Pod]) -> None:
    log = last.folder / "redis.log"
    log.unlink()
    last.start()
    wait_for(lambda: log.read_text().count("waits: ") > 2, [last])
    assert all(pod.host in log.read_text() for pod in rest)
    wait_for(lambda: sorted(pod.role() or "" for pod in rest) == ["master", "slave"], rest)


def refuses_strangers(own: Path, pods: Sequence[Pod]) -> None:
    """Without TLS, without a name, or as a role what is not a role's: on servers and on sentinels."""
    tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(own / "ca.crt")}
    for port in PORTS.values():
        with redis.Redis(HOSTS[0], int(port)) as plain, pytest.raises(redis.exceptions.ConnectionError):
            plain.ping()
        with redis.Redis(HOSTS[0], int(port), **tls) as nobody, pytest.raises(redis.exceptions.AuthenticationError):
            nobody.ping()
    setup = {**tls, "username": "setup", "password": PASSWORDS["setup"]}
    with (
        redis.Redis(HOSTS[0], int(PORTS["SENTINEL_PORT"]), **setup) as sentinel,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        sentinel.execute_command("SENTINEL", "FAILOVER", "line")
    replica = {**tls, "username": "replica", "password": PASSWORDS["replica"]}
    with (
        redis.Redis(HOSTS[0], int(PORTS["REDIS_PORT"]), **replica) as copier,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        copier.get("inspection:artefact:a")
    # A container in which nothing else is known asks as the probes do.
    assert all(pod.lives() for pod in pods)
