from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.evaluation.keys import keys_below, keys_of, scores_of

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=2, max_size=20))
def test_keys_order_as_scores_do_and_give_them_back(values: list[float]) -> None:
    scores = np.array(values, np.float32)
    keys = keys_of(scores)
    assert ((scores[:, None] < scores) == (keys[:, None] < keys)).all()
    assert ((scores[:, None] == scores) == (keys[:, None] == keys)).all()  # 0 and -0 too
    assert (scores_of(keys) == scores).all()


@given(finite, st.floats(-1e38, 1e38))
def test_a_threshold_between_scores_parts_them_as_it_would_itself(score: float, threshold: float) -> None:
    key, below = keys_of(np.array([score], np.float32))[0], keys_below(np.array([threshold]))[0]
    assert (key > below) == (score > threshold)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_a_score_that_is_no_finite_float32_is_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        keys_of(np.array([0.1, bad]))


def test_integers_are_no_scores() -> None:
    with pytest.raises(ValueError, match="floats"):
        keys_of(np.array([1, 2]))
