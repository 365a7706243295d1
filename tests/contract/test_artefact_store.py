"""One suite for every artefact store: what comes back is what its version names."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from inspector.adapters.memory.store import MemoryArtefactStore
from inspector.adapters.redis import keys
from inspector.adapters.redis.artefacts import RedisArtefactStore
from inspector.adapters.redis.connection import connect
from inspector.domain.errors import BadInputError, ServiceUnavailableError
from inspector.pipeline.ports import ArtefactStore


@dataclass
class Subject:
    store: ArtefactStore
    damage: Callable[[str, bytes], Any]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "memory":
        memory = MemoryArtefactStore()
        yield Subject(memory, memory.damage)
        return
    client = connect(request.getfixturevalue("services").redis_url)
    yield Subject(RedisArtefactStore(client), lambda version, data: client.set(keys.artefact(version), data))
    client.close()


@pytest.mark.parametrize("data", [b"", b"bank\x00\xff" * 1000])
def test_bytes_come_back_under_their_sha256(subject: Subject, data: bytes) -> None:
    version = subject.store.put(data)
    assert version == hashlib.sha256(data).hexdigest()
    assert subject.store.put(data) == version
    assert subject.store.get(version) == data


@pytest.mark.parametrize("version", ["0" * 64, "", "../../etc/passwd", "\x1b[2J" + "x" * 500])
def test_an_unknown_version_is_said_to_be_unknown(subject: Subject, version: str) -> None:
    with pytest.raises(BadInputError) as caught:
        subject.store.get(version)
    assert caught.value.got == "none"
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_damaged_bytes_never_come_back_and_storing_again_heals(subject: Subject) -> None:
    version = subject.store.put(b"a bank that will be damaged")
    subject.damage(version, b"a bank that was damaged")
    with pytest.raises(BadInputError, match="damaged"):
        subject.store.get(version)
    subject.store.put(b"a bank that will be damaged")
    assert subject.store.get(version) == b"a bank that will be damaged"


def test_a_planned_outage_passes() -> None:
    store = MemoryArtefactStore()
    version = store.put(b"x")
    store.outage.plan(1)
    with pytest.raises(ServiceUnavailableError):
        store.get(version)
    assert store.get(version) == b"x"


@pytest.mark.services
def test_a_retired_version_stays_for_a_week_and_storing_it_again_takes_it_back(services: Any) -> None:
    client = connect(services.redis_url)
    store = RedisArtefactStore(client)
    version = store.put(uuid.uuid4().bytes)
    assert client.ttl(keys.artefact(version)) == -1
    store.retire(version)
    assert 0 < client.ttl(keys.artefact(version)) <= 7 * 24 * 3600
    assert store.put(store.get(version)) == version
    assert client.ttl(keys.artefact(version)) == -1
    client.close()


@pytest.mark.services
def test_what_has_a_life_goes_by_itself_and_is_given_it_anew_when_it_is_put_again(
    request: pytest.FixtureRequest,
) -> None:
    client = connect(request.getfixturevalue("services").redis_url)
    store = RedisArtefactStore(client, keys.feedback_mask, life_s=1000)
    version = store.put(f"a mask {uuid.uuid4()}".encode())
    assert 990 <= client.ttl(keys.feedback_mask(version)) <= 1000
    client.expire(keys.feedback_mask(version), 5)
    store.put(store.get(version))
    assert client.ttl(keys.feedback_mask(version)) > 900
    assert client.ttl(keys.artefact(RedisArtefactStore(client).put(b"stays"))) == -1
    client.close()
