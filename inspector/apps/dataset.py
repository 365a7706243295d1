"""``inspector dataset check``: what a data set holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from inspector.apps import console
from inspector.datasets.checking import ClassFacts, Findings
from inspector.datasets.checking import check as look
from inspector.datasets.opening import open_dataset
from inspector.datasets.sample import GOOD, Dataset
from inspector.datasets.synonyms import Synonyms

_SHOWN_LINES = 20


def check(folder: Path, layout: str | None, vocabulary: Path | None, as_json: bool) -> bool:
    """Print what ``folder`` holds, ``vocabulary`` being own synonyms; return whether nothing is wrong with it.

    Raises:
        BadInputError: it is no data set of the layout, or the file of synonyms cannot be used.
        OSError: a folder cannot be read.
    """
    words = None if vocabulary is None else Synonyms.load(vocabulary)
    with console.status("looking for images"):
        dataset = open_dataset(folder, layout, words)
    with console.progress("reading images and masks", len(dataset.samples)) as meter:
        findings = look(dataset, meter.advance)
    if as_json:
        console.print_json(_document(dataset, findings))
    else:
        _print(dataset, findings)
    return not findings.problems


def _document(dataset: Dataset, findings: Findings) -> dict[str, object]:
    about = {"name": dataset.name, "layout": dataset.layout, "licence": dataset.licence}
    return about | {"images": len(dataset.samples)} | asdict(findings)


def _print(dataset: Dataset, findings: Findings) -> None:
    console.lines(
        [
            f"{dataset.name}: layout {dataset.layout}, licence {dataset.licence or 'not known'}, "
            f"{len(dataset.samples)} images, {_counted(len(findings.classes), 'class', 'classes')}"
        ]
    )
    table = console.table("class", "train good", "test good", "defective", "with mask", "types (images)")
    for facts in findings.classes:
        numbers = (facts.train.get(GOOD, 0), facts.test.get(GOOD, 0), facts.defective, facts.drawn)
        table.add_row(*(console.cell(text) for text in (facts.name, *numbers, _types(facts))))
    console.print_table(table)
    console.lines([f"vocabulary: {', '.join(findings.vocabulary) or 'no defects'}"])
    console.lines(_bounded("remark", findings.remarks))
    console.lines(_bounded("problem", findings.problems) or ["no problems"])


def _types(facts: ClassFacts) -> str:
    words = dict.fromkeys((*facts.train, *facts.test))
    counts = [f"{word} {facts.train.get(word, 0) + facts.test.get(word, 0)}" for word in words if word != GOOD]
    return ", ".join(counts) or "-"


def _bounded(kind: str, texts: Sequence[str]) -> list[str]:
    more = len(texts) - _SHOWN_LINES
    last = [f"{kind}: and {more} more (--json lists all)"] if more > 0 else []
    return [f"{kind}: {text}" for text in texts[:_SHOWN_LINES]] + last


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
