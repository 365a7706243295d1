"""What the inspectors' logs tell the demo."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping


def is_ready(log: str, banks: set[str]) -> bool:
    """Tell from an inspector's log (JSON lines) whether it inspects, with these banks, as in ``bank/cam-plate``."""
    said = list(entries(log))
    taken = {entry.get("what") for entry in said if entry.get("event") == "took configuration"}
    return banks <= taken and any(entry.get("event") == "inspecting" for entry in said)


def entries(log: str) -> Iterator[Mapping[str, object]]:
    """Yield what a log says as far as it is written."""
    for text in log.splitlines():
        try:
            entry = json.loads(text)
        except ValueError:  # a library's plain words, or a line that is being written
            continue
        if isinstance(entry, dict):
            yield entry
