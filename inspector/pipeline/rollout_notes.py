"""What an inspector has found of versions on trial and not told yet: the store may be away, the line goes on."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from inspector.pipeline.comparison import Comparison, Difference, of_pairs
from inspector.pipeline.engine_versions import Observation
from inspector.pipeline.rollout import Watched
from inspector.pipeline.rollout_ports import RolloutStore

_MOST_DIFFERENCES = 200


class RolloutNotes:
    """Written by the thread that scores, told by another."""

    def __init__(self, store: RolloutStore, replica: str) -> None:
        self._store = store
        self._replica = replica
        self._lock = threading.Lock()
        self._vetoes: dict[str, str] = {}
        self._found: dict[Watched, tuple[Comparison, list[Difference]]] = {}

    @property
    def vetoes(self) -> Mapping[str, str]:
        """Our own vetoes, until the store was seen to know them."""
        with self._lock:
            return dict(self._vetoes)

    def veto(self, version: str, why: str) -> None:
        """Note that a version must go; the first reason stays."""
        with self._lock:
            self._vetoes.setdefault(version, why)

    def confirm(self, versions: Collection[str]) -> None:
        """Forget vetoes that the store knows: from now on it has the word, and a person may lift them there."""
        with self._lock:
            self._vetoes = {version: why for version, why in self._vetoes.items() if version not in versions}

    def observed(self, trial: Watched, seen: Observation) -> None:
        """Note what a batch showed of the version on trial."""
        sums = of_pairs(seen.pairs) + Comparison(served=seen.served, failures=seen.failures)
        told = [
            Difference(p.frame_id, p.camera_id, p.subject_score, p.reference_score, p.subject_alarm)
            for p in seen.pairs
            if p.comparable and p.differs
        ]
        with self._lock:
            self._add(trial, sums, told)

    def tell(self) -> None:
        """Tell the store all of it.

        Raises:
            ServiceUnavailableError: the store is away; what is left is told by the next call.
        """
        for version, why in self.vetoes.items():
            self._store.veto(version, why, self._replica)
        with self._lock:
            found, self._found = self._found, {}
        while found:
            trial, (sums, differences) = found.popitem()
            try:
                self._store.add(trial, sums, differences)
            except BaseException:
                with self._lock:
                    for each, (its_sums, its_differences) in (*found.items(), (trial, (sums, differences))):
                        self._add(each, its_sums, its_differences)
                raise

    def _add(self, trial: Watched, sums: Comparison, differences: list[Difference]) -> None:
        so_far, earlier = self._found.get(trial, (Comparison(), []))
        self._found[trial] = (so_far + sums, [*earlier, *differences][-_MOST_DIFFERENCES:])
