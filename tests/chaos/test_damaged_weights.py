"""Each damage meets the check that it is meant for; without it the row of the bad weights would prove another thing."""

from __future__ import annotations

import pytest
from damaged_weights import DAMAGES, Damage

from inspector import settings as settings_of
from inspector.apps import model_wiring
from inspector.dapo.weights_file import parse_weights, weights_bytes
from inspector.domain.errors import BadInputError


@pytest.fixture(scope="module")
def sound() -> bytes:
    return weights_bytes(*model_wiring.fresh_weights(settings_of.load(None)))[0]


def test_sound_weights_are_taken(sound: bytes) -> None:
    parse_weights(sound, "a file")


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_a_damage_is_found_by_its_check(sound: bytes, damage: Damage) -> None:
    with pytest.raises(BadInputError) as refused:
        parse_weights(damage.do(sound), "a file")
    assert damage.complaint in str(refused.value)
