from hypothesis import given
from hypothesis import strategies as st

from inspector.pipeline.severity import ACT_NOW, severity

fractions = st.floats(0, 1)
weights = st.floats(0, 10)


def test_documented_examples_hold() -> None:
    assert severity(1, 1e-5, 1) == 250
    assert severity(1, 10**-2.5, 1) == 625
    assert severity(1, 0.5, 1) == 1000
    assert severity(3, 1e-4, 1) >= ACT_NOW


@given(weights, fractions, fractions)
def test_severity_stays_in_its_range(weight: float, area: float, score: float) -> None:
    assert 1 <= severity(weight, area, score) <= 1000


@given(weights, weights, fractions, fractions, fractions, fractions)
def test_heavier_larger_and_surer_is_never_less_grave(
    w1: float, w2: float, a1: float, a2: float, s1: float, s2: float
) -> None:
    low = severity(min(w1, w2), min(a1, a2), min(s1, s2))
    assert low <= severity(max(w1, w2), max(a1, a2), max(s1, s2))
