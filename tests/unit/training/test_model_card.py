"""A model card says everything or is not written, and takes from the files what the files know."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from inspector.dapo import model_folder
from inspector.domain.errors import BadInputError
from inspector.training.model_card import model_card, read_facts

BUNDLED = Path(model_folder.__file__).parent.parent / "models" / "inspector-s"
METRICS = "| setting | mean |\n|---|---|\n| zero-shot | 85.0 |\n"
FACTS = {
    "title": "A model",
    "summary": "It looks at parts.",
    "use": ["Inspection."],
    "data": [{"name": "surfaces", "what": "photographs", "licence": "CC0-1.0"}],
    "commands": ["inspector pretrain --images 1000 --out model/"],
    "training": {"images": "1000", "time": "1 h", "hardware": "two cores", "seeds": "0, 1, 2"},
    "metrics_command": "inspector evaluate parts/ --controls",
    "metrics_note": "Development figures.",
    "limits": ["It is small.", "It has seen little.", "It was trained on renderings."],
    "tries": [{"what": "a larger crop", "figure": "image AUROC .71 -> .72, 3 seeds", "kept": True}],
}


def _facts(path: Path, **changed: object) -> Path:
    path.write_text(yaml.safe_dump(FACTS | changed))
    return path


def test_all_that_was_written_down_and_measured_is_in_the_card(tmp_path: Path) -> None:
    card = model_card(read_facts(_facts(tmp_path / "facts.yaml")), METRICS, BUNDLED)
    for text in ("CC0-1.0", "inspector pretrain --images 1000", "two cores", "0, 1, 2", "| zero-shot | 85.0 |"):
        assert text in card
    assert "| a larger crop | image AUROC .71 -> .72, 3 seeds | yes |" in card
    assert "5.56 M visual" in card
    assert card.index("## Data") < card.index("## How it was made") < card.index("## Metrics") < card.index("## Limits")


@pytest.mark.parametrize(
    "changed",
    [{"commands": ["TODO"]}, {"limits": ["one", "two two", "to be decided: TBD"]}, {"summary": "{{ summary }}"}],
    ids=str,
)
def test_an_unfinished_card_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    facts = read_facts(_facts(tmp_path / "facts.yaml", **changed))
    with pytest.raises(BadInputError, match="a finished card"):
        model_card(facts, METRICS, BUNDLED)


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"limits": []}, "limits"), ({"data": [{"name": "surfaces", "what": "photographs"}]}, "licence"), ({"x": 1}, "x")],
    ids=["no limits", "no licence", "unknown"],
)
def test_what_is_missing_is_named(tmp_path: Path, changed: dict[str, object], named: str) -> None:
    with pytest.raises(BadInputError, match=named):
        read_facts(_facts(tmp_path / "facts.yaml", **changed))


def test_metrics_without_a_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="inspector evaluate parts/ --controls"):
        model_card(read_facts(_facts(tmp_path / "facts.yaml")), "very good", BUNDLED)


def test_a_card_of_a_damaged_model_is_not_written(tmp_path: Path) -> None:
    shutil.copytree(BUNDLED, tmp_path / "m")
    (tmp_path / "m" / "prompts.safetensors").write_bytes(b"damaged")
    with pytest.raises(BadInputError, match="safetensors"):
        model_card(read_facts(_facts(tmp_path / "facts.yaml")), METRICS, tmp_path / "m")


@pytest.mark.parametrize("name", ["inspector-s", "inspector-s-types"])
def test_the_card_in_the_package_is_of_the_facts_as_they_are_written_down(name: str) -> None:
    folder = BUNDLED.parent / name
    card = (folder / "MODEL_CARD.md").read_text()
    # Its tables are a command's, and the list of files comes after; all else is of the facts.
    after_command = card.partition("## Metrics")[2].partition("```sh")[2].partition("```\n")[2]
    facts = read_facts(Path(__file__).parents[3] / "deploy" / "models" / f"{name}.yaml")
    assert card.startswith(model_card(facts, after_command.partition("\n## ")[0].strip() + "\n", folder))
