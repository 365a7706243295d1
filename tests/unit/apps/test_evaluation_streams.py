"""The streams that mutual scoring is measured on."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.apps.evaluate.plan import Asked, stream_of
from inspector.datasets.sample import Sample
from inspector.domain.errors import BadInputError


def images(split: str, good: int, bad: int) -> list[Sample]:
    kinds = ((), ("dent",))
    return [
        Sample(Path(f"{split}{len(types)}{n}"), "part", split, types, name=f"{split}/{len(types)}/{n}")
        for types, count in zip(kinds, (good, bad), strict=True)
        for n in range(count)
    ]


@given(st.integers(0, 20), st.integers(0, 12), st.integers(1, 9), st.sampled_from([0.1, 0.25, 0.5, 1.0]))
def test_a_stream_is_never_more_defective_than_asked_and_brings_each_test_image_once(
    good: int, bad: int, others: int, most: float
) -> None:
    stream = stream_of(3, [*images("test", good, bad), *images("train", others, 0)], most)
    tested = [sample.name for sample in stream if sample.split == "test"]
    assert sorted(tested) == sorted(sample.name for sample in images("test", good, bad))
    for length in range(1, len(stream) + 1):
        assert sum(sample.anomalous for sample in stream[:length]) <= most * length + 1e-9


def test_the_seed_decides_the_order_and_nothing_else_does() -> None:
    samples = [*images("test", 5, 5), *images("train", 9, 0)]
    assert stream_of(1, samples, 0.1) == stream_of(1, samples[::-1], 0.1)
    assert stream_of(1, samples, 0.1) != stream_of(2, samples, 0.1)


def test_without_good_training_images_the_test_images_are_the_stream() -> None:
    assert len(stream_of(0, [*images("test", 2, 5), *images("train", 0, 4)], 0.1)) == 7


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(BadInputError, match="stream_defects"):
        Asked(stream_defects=share)
