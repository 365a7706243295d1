"""A model beside its controls: means and spreads as one would report them, and tables that show the lead."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import stdev

import pytest
from made_up import unit

from inspector.domain.errors import BadInputError
from inspector.domain.result import ScoreMode
from inspector.evaluation.comparison import (
    MODEL,
    Comparison,
    chance_of,
    from_document,
    systems_of,
    to_document,
)
from inspector.evaluation.comparison_table import markdown
from inspector.evaluation.metrics import Metric
from inspector.evaluation.unit_result import UnitResult


def measured(dataset: str, seed: int, auroc: float, shots: int = 16, **more: float) -> UnitResult:
    mode = ScoreMode.BANK if shots else ScoreMode.ZERO_SHOT
    made = unit("plate", mode, shots, seed, dataset=dataset)
    return replace(made, metrics={name: Metric(value) for name, value in {"image_auroc": auroc, **more}.items()})


def compared(*systems: tuple[str, list[UnitResult]]) -> Comparison:
    every = [system for name, units in systems for system in systems_of(name, units)]
    return Comparison(tuple(every), chance_of([one for _, units in systems for one in units]))


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_the_spread_over_seeds_is_that_of_the_mean_over_data_sets() -> None:
    units = [measured("a", 0, 0.6), measured("a", 1, 0.8), measured("b", 0, 0.8), measured("b", 1, 0.6)]
    (system,) = systems_of("bank", units)
    assert system.datasets["a"]["image_auroc"].std == pytest.approx(stdev([0.6, 0.8]))
    assert (system.mean["image_auroc"].mean, system.mean["image_auroc"].std) == (pytest.approx(0.7), pytest.approx(0))
    assert "aupro" not in system.mean, "what nobody measured has no column"


def test_the_model_comes_first_and_leads_its_best_control_set_by_set() -> None:
    table = markdown(
        compared(
            ("untrained", [measured("a", 0, 0.9), measured("b", 0, 0.5)]),
            (MODEL, [measured("a", 0, 0.88), measured("b", 0, 0.8)]),
            ("hand-made", [measured("a", 0, 0.7), measured("b", 0, 0.6)]),
        )
    )
    header, _, *body = rows(table)
    assert header == ["setting", "system", "a", "b", "mean"]
    assert body[0] == ["16-shot", MODEL, "88.0", "80.0", "84.0"]
    assert body[1:3] == [["", "untrained", "90.0", "50.0", "70.0"], ["", "hand-made", "70.0", "60.0", "65.0"]]
    assert body[3] == ["", "lead over the best control", "-2.0", "+20.0", "+14.0"]


def test_several_seeds_show_their_spread_and_settings_come_in_the_fields_order() -> None:
    units = [measured("a", 0, 0.7, shots=0)]
    units += [measured("a", seed, 0.8 + 0.1 * seed, shots) for shots in (16, 4) for seed in (0, 1)]
    body = rows(markdown(compared((MODEL, units))))[2:]
    assert [row[0] for row in body] == ["zero-shot", "4-shot", "16-shot"]
    assert [row[2] for row in body] == ["70.0", "85.0 ±7.1", "85.0 ±7.1"]


def test_types_are_of_the_text_alone_and_stand_beside_guessing() -> None:
    units = [measured("a", 0, 0.7, 0, type_regions=0.4), measured("a", 0, 0.7, 16, type_regions=0.4)]
    plain = replace(measured("b", 0, 0.6, 0), vocabulary=("crack",))
    table = markdown(compared((MODEL, [*units, plain])))
    of_types = rows(table.split("type of a given defect region right")[1])[2:]
    assert of_types == [["zero-shot", MODEL, "40.0", "-", "40.0"], ["", "guessing", "50.0", "-", "50.0"]]


def test_a_comparison_comes_back_from_json_as_it_was() -> None:
    comparison = compared((MODEL, [measured("a", seed, 0.7 + seed / 10, 16, aupro=0.5) for seed in (0, 1)]))
    assert from_document(json.loads(json.dumps(to_document(comparison)))) == comparison


@pytest.mark.parametrize("document", [[], {}, {"schema": "inspection.evaluation/1"}, {"schema": None, "systems": 3}])
def test_what_is_no_comparison_is_refused(document: object) -> None:
    with pytest.raises(BadInputError, match="comparison"):
        from_document(document)


def test_names_cannot_open_another_column() -> None:
    table = markdown(compared((MODEL, [measured("a|b", 0, 0.7)])))
    assert "a\\|b" in table
