"""The store of samples over objects: a put is whole or not at all, and what is read is verified."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from inspector.adapters.artefacts import version_of
from inspector.adapters.samples.index import METADATA, Entry, folder_of, read_entries
from inspector.adapters.samples.objects import Objects
from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.records import to_json
from inspector.domain.sample import Sample, SamplePart
from inspector.pipeline.sample_choice import Refusal, SampleLimits, admit, beyond_limits
from inspector.pipeline.sample_port import NO_PARTS

# Others may write too; what is known of the store is looked up again when it is older than this.
_FRESH_S = 30.0
# The mask of the largest frame that is decoded, drawn as finely as can be, takes a tenth of it.
_MAX_PART_BYTES = 64 * 2**20
# Bytes without metadata may belong to a put that is under way.
_GRACE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Damage:
    """A folder that does not hold a sample whole; ``sample`` is there where its metadata can be read."""

    folder: str
    problem: str
    sample: Sample | None = None


class ObjectSampleStore:
    """``sample_port.SampleStore`` in a folder, in S3-compatible storage or in memory.

    Several processes may use one place: what two of them put is whole, and the later of two puts of one frame stays.
    Each knows of the others' samples after half a minute, so that together they may exceed the budget by what they put
    in that time; the next put makes room. Not thread-safe.
    """

    def __init__(self, objects: Objects, limits: SampleLimits, max_image_bytes: int) -> None:
        self._objects = objects
        self._limits = limits
        self._max_image_bytes = max_image_bytes
        self._entries: dict[str, Entry] = {}
        self._known_since_s = float("-inf")

    @property
    def where(self) -> str:
        """The folder or address of the store."""
        return self._objects.where

    @property
    def limits(self) -> SampleLimits:
        """What the store keeps at most."""
        return self._limits

    def put(self, sample: Sample, image: bytes, parts: Mapping[str, bytes] = NO_PARTS) -> bool:
        """See ``SampleStore``."""
        return self.offer(sample, image, parts) is None

    def offer(self, sample: Sample, image: bytes, parts: Mapping[str, bytes] = NO_PARTS) -> Refusal | None:
        """Do as ``put``, and return why the sample is not kept; None where it is. Raises as ``put``."""
        if version_of(image) != sample.sha256 or not 0 < len(image) == sample.size_bytes <= self._max_image_bytes:
            raise BadInputError(
                f"the image of sample {sample.frame_id}, {sample.size_bytes} bytes, at most {self._max_image_bytes}",
                f"{len(image)} bytes of another hash or size",
                "take both from the same frame",
            )
        if large := [name for name, data in parts.items() if len(data) > _MAX_PART_BYTES]:
            raise BadInputError(
                f"parts of at most {_MAX_PART_BYTES} bytes", f"{large[0]}, which is larger", "shrink it"
            )
        kept = tuple(SamplePart(name, version_of(data), len(data)) for name, data in sorted(parts.items()))
        sample = replace(sample, parts=kept)
        folder = folder_of(sample.camera_id, sample.frame_id)
        self._refresh(_FRESH_S)
        before = self._entries.get(folder, Entry(folder))
        others = [entry.sample for entry in self._entries.values() if entry.sample and entry.folder != folder]
        admission = admit(others, sample, self._used_bytes() - before.size_bytes, self._limits)
        if admission.refusal is not None:
            return admission.refusal
        for victim in admission.evict:
            self.remove(victim)
        blobs = {version_of(data): data for data in (image, *parts.values())}
        self._write(folder, before, {**blobs, METADATA: to_json(sample)})
        return None

    def image(self, sample: Sample) -> bytes:
        """See ``SampleStore``."""
        return self._verified(sample, sample.sha256, min(sample.size_bytes, self._max_image_bytes))

    def part(self, sample: Sample, name: str) -> bytes | None:
        """See ``SampleStore``."""
        found = next((part for part in sample.parts if part.name == name), None)
        if found is None:
            return None
        return self._verified(sample, found.sha256, min(found.size_bytes, _MAX_PART_BYTES))

    def samples(self, camera_id: str | None = None) -> Iterator[Sample]:
        """See ``SampleStore``."""
        self._refresh(0.0)
        found = [
            entry.sample
            for entry in self._entries.values()
            if entry.sample is not None and camera_id in (None, entry.sample.camera_id)
        ]
        return iter(sorted(found, key=lambda sample: (sample.camera_id, sample.frame_id)))

    def remove(self, sample: Sample) -> None:
        """See ``SampleStore``."""
        self._remove_folder(folder_of(sample.camera_id, sample.frame_id))

    def used_bytes(self) -> int:
        """See ``SampleStore``."""
        self._refresh(0.0)
        return self._used_bytes()

    def damage(self) -> Iterator[Damage]:
        """Read every sample, and yield those that are not what their metadata says. Raises as ``SampleStore``."""
        self._refresh(0.0)
        for entry in list(self._entries.values()):
            if entry.sample is None:
                if entry.problem:
                    yield Damage(entry.folder, entry.problem)
                continue
            try:
                self.image(entry.sample)
                for part in entry.sample.parts:
                    self.part(entry.sample, part.name)
            except BadInputError as error:
                yield Damage(entry.folder, error.got, entry.sample)

    def discard(self, damaged: Iterable[Damage]) -> None:
        """Remove what was found damaged. Raises as ``SampleStore``."""
        for found in damaged:
            self._remove_folder(found.folder)

    def sweep(self) -> int:
        """Remove what puts that were killed left behind, after an hour; return how many objects. Raises as ``put``."""
        self._refresh(0.0)
        latest = datetime.now(UTC) - _GRACE
        swept = self._objects.sweep(_GRACE.total_seconds())
        left = [found for entry in self._entries.values() for found in entry.surplus() if found.modified_at < latest]
        for found in left:
            self._objects.delete(found.name)
        self._refresh(0.0)
        return swept + len(left)

    def trim(self) -> int:
        """Remove what is beyond the limits; return how many samples. Raises as ``SampleStore``."""
        kept = list(self.samples())
        going = beyond_limits(kept, self._used_bytes(), self._limits)
        for sample in going:
            self.remove(sample)
        return len(going)

    def _write(self, folder: str, before: Entry, blobs: Mapping[str, bytes]) -> None:
        """Write objects in this order, metadata last; none of them stays where one fails."""
        names = {f"{folder}/{name}": data for name, data in blobs.items()}
        try:
            for name, data in names.items():
                self._objects.put(name, data)
        except InspectorError:
            with suppress(InspectorError):
                for name in sorted(names.keys() - before.objects.keys(), key=_metadata_first):
                    self._objects.delete(name)
            raise
        for name in before.objects.keys() - names.keys():
            self._objects.delete(name)
        self._reread(folder)

    def _remove_folder(self, folder: str) -> None:
        entry = next(iter(read_entries(self._objects, (), folder)), Entry(folder))
        for name in sorted(entry.objects, key=_metadata_first):
            self._objects.delete(name)
        self._entries.pop(folder, None)

    def _verified(self, sample: Sample, sha256: str, max_bytes: int) -> bytes:
        where = f"a sample of camera {sample.camera_id!r}, frame {sample.frame_id!r}, in {self.where}"
        todo = "remove what is damaged with `inspector samples prune`"
        folder = folder_of(sample.camera_id, sample.frame_id)
        data = self._objects.get(f"{folder}/{sha256}", max_bytes)
        if data is None:
            raise BadInputError(where, "bytes that are gone", todo)
        if version_of(data) != sha256:
            raise BadInputError(where, "bytes that do not hash to their name", todo)
        return data

    def _refresh(self, max_age_s: float) -> None:
        if time.monotonic() - self._known_since_s > max_age_s:
            found = read_entries(self._objects, self._entries.values())
            self._entries = {entry.folder: entry for entry in found}
            self._known_since_s = time.monotonic()

    def _reread(self, folder: str) -> None:
        for entry in read_entries(self._objects, (), folder):
            self._entries[folder] = entry

    def _used_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self._entries.values())


def _metadata_first(name: str) -> tuple[bool, str]:
    # Without its metadata a sample is gone, whatever is left of it when the deleting is cut short.
    return not name.endswith(METADATA), name
