from itertools import cycle

import numpy as np
import pytest

import inspector.training.pretraining.strange_words as strange_words
from inspector.domain.product import ANY_OBJECT
from inspector.training.pretraining.strange_words import made_up, object_word


def test_products_have_many_names_and_half_of_the_time_none() -> None:
    rng = np.random.default_rng(0)
    drawn = [object_word(rng) for _ in range(400)]
    assert 150 < drawn.count(ANY_OBJECT) < 250
    assert len(set(drawn)) > 100
    assert all(word == word.strip() != "" for word in drawn)


def test_what_is_made_up_is_nothing_that_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    assert len({made_up(rng) for _ in range(400)}) > 390
    syllables = cycle(("ho", "le", "ba", "ne"))
    monkeypatch.setattr(strange_words, "_syllable", lambda _rng: next(syllables))
    words = {word for _ in range(100) for word in made_up(rng).split()}
    assert "bane" in words
    assert "hole" not in words
