"""The vocabularies that feedback is held against: those that running inspectors use, whatever goes away meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from inspector.adapters.memory.store import MemoryArtefactStore
from inspector.apps import known_products, wiring
from inspector.apps.known_products import KnownProducts
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.product import DefectSpec, ProductSettings
from inspector.domain.records import to_json
from inspector.settings import Settings

NOW = datetime(2026, 11, 29, tzinfo=UTC)
ANNOUNCED = ProductSettings(defects=(DefectSpec("bent lead"),))


class World:
    """A feed and a store in memory."""

    def __init__(self) -> None:
        self.store = MemoryArtefactStore()
        self.away = False
        self.waiting: list[Announcement] = []

    def announce(self, name: str, data: bytes) -> None:
        self.waiting.append(Announcement(ArtefactKind.PRODUCT, name, self.store.put(data), NOW))

    def poll(self) -> Sequence[Announcement]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def close(self) -> None:
        self.waiting = []

    def artefacts(self, _: Settings) -> MemoryArtefactStore:
        if self.away:
            raise ServiceUnavailableError("Redis", "silence", "wait")
        return self.store


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(known_products, "KafkaConfigFeed", lambda *_: made)
    monkeypatch.setattr(wiring, "artefacts", made.artefacts)
    return made


@pytest.fixture
def products() -> KnownProducts:
    return KnownProducts(Settings(products={"plate": {"defects": ["scratch"]}}))  # type: ignore[dict-item]  # as YAML has it


def types(products: KnownProducts, name: str) -> tuple[str, ...]:
    return products.get(name).vocabulary.defect_types


def test_what_was_announced_goes_over_the_settings_as_soon_as_it_is(world: World, products: KnownProducts) -> None:
    assert types(products, "plate") == ("scratch",)
    world.announce("plate", to_json(ANNOUNCED))
    assert types(products, "plate") == ("bent lead",)
    assert types(products, "unknown") == ProductSettings().vocabulary.defect_types


def test_an_announcement_that_cannot_be_used_leaves_what_was_there(world: World, products: KnownProducts) -> None:
    world.announce("plate", b"no product")
    assert types(products, "plate") == ("scratch",)


def test_an_announcement_is_not_lost_while_the_store_is_away(world: World, products: KnownProducts) -> None:
    world.announce("plate", to_json(ANNOUNCED))
    world.away = True
    with pytest.raises(ServiceUnavailableError):
        products.get("plate")
    world.away = False
    assert types(products, "plate") == ("bent lead",)
