import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.pipeline.batcher import Batcher


def test_a_full_batch_goes_at_once() -> None:
    batcher: Batcher[int] = Batcher(max_size=2, max_wait_s=10)
    batcher.add(1, 0.0)
    assert batcher.take(0.1) == []
    batcher.add(2, 0.2)
    assert batcher.take(0.2) == [1, 2]


def test_a_partial_batch_goes_when_its_oldest_frame_has_waited_enough() -> None:
    batcher: Batcher[int] = Batcher(max_size=8, max_wait_s=1.0)
    batcher.add(1, 0.0)
    batcher.add(2, 0.9)
    assert batcher.due_in_s(0.4) == pytest.approx(0.6)
    assert batcher.take(0.99) == []
    assert batcher.take(1.0) == [1, 2]
    assert batcher.due_in_s(1.0) is None


def test_nonsense_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="max_size >= 1"):
        Batcher(0, 1.0)


@given(
    st.integers(1, 5),
    st.floats(0, 3),
    st.lists(st.one_of(st.just("take"), st.floats(0, 2)), max_size=60),
)
def test_order_is_kept_nothing_is_lost_and_no_frame_waits_longer_than_asked(
    max_size: int, max_wait_s: float, steps: list[str | float]
) -> None:
    batcher: Batcher[int] = Batcher(max_size, max_wait_s)
    now, added, out = 0.0, [], []
    for step in steps:
        if isinstance(step, float):
            now += step
            added.append(now)
            batcher.add(len(added) - 1, now)
        else:
            batch = batcher.take(now)
            assert len(batch) <= max_size
            out.extend(batch)
            if not batch and len(batcher):
                assert len(batcher) < max_size
                assert now < added[len(out)] + max_wait_s
    assert out + batcher.clear() == list(range(len(added)))
