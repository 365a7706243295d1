"""Result and artefact stores in memory: the fakes the contract suites hold to the real ones' behaviour.

They keep everything unless told how many, and can be away for a number of calls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from inspector.adapters.artefacts import verified, version_of
from inspector.adapters.memory.faults import Outage
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Evidence, Inspected
from inspector.domain.result import InspectionResult, PredLabel
from inspector.pipeline.ports import StoreStatus


class MemoryResultStore:
    """``ports.ResultStore`` in memory, with the readers of ``RedisResults``.

    ``keep_per_camera``: how many results of a camera and a verdict are kept, the first to arrive
    going first; None: all.
    """

    def __init__(self, keep_per_camera: int | None = None) -> None:
        self.outage = Outage()
        self.arrivals: list[str] = []
        """Frame ids in the order they were first stored: the streams of all cameras in one."""
        self._keep_per_camera = keep_per_camera
        self._held: dict[str, Inspected] = {}
        self._seen: dict[str, FrameSource] = {}
        self._fences: dict[tuple[str, int], int] = {}
        self._highest: dict[tuple[str, int], int] = {}

    def store(self, results: Sequence[Inspected], fencing_token: int) -> Sequence[StoreStatus]:
        """Write results with their evidence, in order; one status each.

        Raises:
            ServiceUnavailableError: an outage was planned; nothing was written.
        """
        self.outage.check()
        return [self._store(inspected, fencing_token) for inspected in results]

    def stored_up_to(
        self, partitions: Collection[tuple[str, int]], fencing_token: int
    ) -> Mapping[tuple[str, int], int]:
        """See ``ports.ResultStore``."""
        self.outage.check()
        for partition in partitions:
            self._fences[partition] = max(fencing_token, self._fences.get(partition, -1))
        return {partition: self._highest.get(partition, -1) for partition in partitions}

    def _store(self, inspected: Inspected, fencing_token: int) -> StoreStatus:
        source, frame_id = inspected.result.source, inspected.result.frame_id
        partition = (source.topic, source.partition)
        if self._fences.get(partition, -1) > fencing_token:
            return StoreStatus.FENCED
        self._fences[partition] = fencing_token
        self._highest[partition] = max(source.offset, self._highest.get(partition, -1))
        if frame_id not in self._seen:
            self.arrivals.append(frame_id)
        elif self._seen[frame_id] != source:
            return StoreStatus.DUPLICATE
        self._seen[frame_id] = source
        self._held[frame_id] = inspected
        self._trim(inspected.result)
        return StoreStatus.STORED

    def _trim(self, newest: InspectionResult) -> None:
        if self._keep_per_camera is None:
            return
        kind = (newest.camera_id, newest.pred_label)
        alike = [key for key, held in self._held.items() if (held.result.camera_id, held.result.pred_label) == kind]
        for frame_id in alike[: -self._keep_per_camera]:
            del self._held[frame_id]

    def get(self, frame_id: str) -> InspectionResult | None:
        """Return one result, or None where there is none."""
        self.outage.check()
        held = self._held.get(frame_id)
        return held.result if held else None

    def frame(self, frame_id: str) -> bytes | None:
        """Return the encoded frame as captured, where it was kept."""
        return self._evidence(frame_id).frame

    def overlay(self, frame_id: str) -> bytes | None:
        """Return the overlay (JPEG), where there is one."""
        return self._evidence(frame_id).overlay

    def mask(self, frame_id: str) -> bytes | None:
        """Return the mask (PNG), where there is one."""
        return self._evidence(frame_id).mask

    def regions(self, frame_id: str) -> bytes | None:
        """Return what the listed defects look like to words, where there are any."""
        return self._evidence(frame_id).regions

    def last(
        self, camera_id: str, n: int, defects_only: bool = False, until: datetime | None = None
    ) -> list[InspectionResult]:
        """Return up to ``n`` results of a camera, the last captured first; ``until``: none captured later."""
        self.outage.check()
        found = [
            held.result
            for held in self._held.values()
            if held.result.camera_id == camera_id
            and (not defects_only or held.result.pred_label is PredLabel.ANOMALOUS)
            and (until is None or held.result.captured_at <= until)
        ]
        return sorted(found, key=lambda r: (r.captured_at, r.frame_id), reverse=True)[:n]

    def _evidence(self, frame_id: str) -> Evidence:
        self.outage.check()
        held = self._held.get(frame_id)
        return held.evidence if held else Evidence()


class MemoryArtefactStore:
    """``ports.ArtefactStore`` in memory."""

    def __init__(self) -> None:
        self.outage = Outage()
        self._artefacts: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        """Store ``data`` and return its version, the SHA-256 in hex."""
        self.outage.check()
        version = version_of(data)
        self._artefacts[version] = data
        return version

    def get(self, version: str) -> bytes:
        """Return the bytes of ``version``, verified.

        Raises:
            BadInputError: unknown version, or the bytes do not hash to it.
            ServiceUnavailableError: an outage was planned.
        """
        self.outage.check()
        return verified(version, self._artefacts.get(version))

    def damage(self, version: str, data: bytes) -> None:
        """Put other bytes under ``version``, as a failing disk would."""
        self._artefacts[version] = data
