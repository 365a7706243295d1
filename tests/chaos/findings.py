"""What a check found: a count a kind, the first few examples in words, and a table for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from rich.table import Table

from inspector.apps.console import cell, table

_EXAMPLES = 5


class Kind(StrEnum):
    """What can be wrong with a line's outcomes."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    OUT_OF_ORDER = "out_of_order"
    MIXED_WEIGHTS = "mixed_weights"
    WRONG_VERDICT = "wrong_verdict"
    OVERWRITTEN = "overwritten"
    MISSING_RESULT = "missing_result"
    UNKNOWN = "unknown"
    HOLE = "hole"


MEANING = {
    Kind.LOST: "no outcome, or an anomalous frame without its alert",
    Kind.DUPLICATED: "two alerts, results or dead letters, an event's id twice, or inspected and rejected",
    Kind.OUT_OF_ORDER: "a camera's alerts are not in the order of its frames",
    Kind.MIXED_WEIGHTS: "a batch whose results name different weights",
    Kind.WRONG_VERDICT: "judged, rejected, named or filed otherwise than the frame says",
    Kind.OVERWRITTEN: "the result in Redis is not that of the frame's last owner",
    Kind.MISSING_RESULT: "committed, not in Redis, and not gone by retention",
    Kind.UNKNOWN: "an outcome of a frame that was never acknowledged, or an event of no known type",
    Kind.HOLE: "an offset of the frames topic that the truth has not, or has twice",
}


@dataclass
class Findings:
    """Counts of what was compared, and of what is wrong.

    ``open_frames`` are not committed yet: no finding, but a line that was to be drained is not.
    ``gone`` are results that retention took.
    """

    frames: int = 0
    alerts: int = 0
    dead_letters: int = 0
    results: int = 0
    dropped: int = 0
    gone: int = 0
    open_frames: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
    examples: dict[Kind, list[str]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Nothing is wrong, and nothing is open."""
        return not self.counts.total() and not self.open_frames

    def __getitem__(self, kind: Kind) -> int:
        return self.counts[kind]

    def add(self, kind: Kind, example: str) -> None:
        self.counts[kind] += 1
        examples = self.examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(example)

    def compared(self) -> str:
        return (
            f"{self.frames} frames: {self.results} results, {self.alerts} alerts, {self.dead_letters} dead letters, "
            f"{self.dropped} dropped, {self.gone} gone by retention, {self.open_frames} open"
        )

    def summary(self) -> str:
        """Say it in one line."""
        found = ", ".join(f"{kind.value} {count}" for kind, count in sorted(self.counts.items())) or "nothing wrong"
        return f"{found} ({self.compared()})"

    def as_table(self) -> Table:
        made = table("finding", "count", "meaning, or the first of them", title=self.compared())
        for kind in Kind:
            count = self.counts[kind]
            made.add_row(cell(kind.value), cell(count, "bold red" if count else "green"), cell(MEANING[kind]))
            for example in self.examples.get(kind, []):
                made.add_row("", "", cell(f"  {example}"))
        return made
