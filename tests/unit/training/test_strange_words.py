import numpy as np

from inspector.rendering.words import kind_of
from inspector.training.pretraining.strange_words import ANY_OBJECT, made_up, object_word


def test_products_have_many_names_and_half_of_the_time_none() -> None:
    rng = np.random.default_rng(0)
    drawn = [object_word(rng) for _ in range(400)]
    assert 150 < drawn.count(ANY_OBJECT) < 250
    assert len(set(drawn)) > 100
    assert all(word == word.strip() != "" for word in drawn)


def test_what_is_made_up_means_nothing_that_is_drawn() -> None:
    rng = np.random.default_rng(0)
    drawn = {made_up(rng) for _ in range(400)}
    assert len(drawn) > 390
    assert not [word for word in drawn if kind_of(word)]
