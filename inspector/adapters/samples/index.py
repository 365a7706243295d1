"""What a store of samples holds, read from its objects: one folder a frame, metadata beside the bytes it names.

    CAMERA/FRAME/sample.json    the `inspection.sample`, written last: without it nothing of the folder counts
    CAMERA/FRAME/SHA-256        the image, and each part

CAMERA and FRAME are digests of the ids: ids are other people's text and never become paths. Whatever else lies in the
folder or bucket is neither read, counted nor deleted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from inspector.adapters.samples.objects import FoundObject, Objects
from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json
from inspector.domain.sample import Sample

METADATA = "sample.json"
_NAME = re.compile(rf"(?P<folder>[0-9a-f]{{16}}/[0-9a-f]{{32}})/(?:{re.escape(METADATA)}|[0-9a-f]{{64}})")
# A sample with all its parts takes a few thousand.
_MAX_METADATA_BYTES = 65_536
# Storage over the network answers in tens of milliseconds; a store has thousands of samples.
_READERS = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """One frame's folder. ``sample`` is None where it does not hold one whole; ``problem`` says why, if it should."""

    folder: str
    objects: Mapping[str, FoundObject] = field(default_factory=dict)
    sample: Sample | None = None
    problem: str = ""

    @property
    def size_bytes(self) -> int:
        """What all objects of the folder take."""
        return sum(found.size_bytes for found in self.objects.values())

    def surplus(self) -> list[FoundObject]:
        """Return the objects that no metadata names: what a put that was killed wrote, or did not come to delete."""
        if self.problem:
            return []
        needed = set()
        if self.sample is not None:
            needed = {METADATA, self.sample.sha256, *(part.sha256 for part in self.sample.parts)}
        return [found for name, found in self.objects.items() if name.removeprefix(f"{self.folder}/") not in needed]


def folder_of(camera_id: str, frame_id: str) -> str:
    """Return the folder of a frame's objects."""
    return f"{_digest(camera_id)[:16]}/{_digest(frame_id)[:32]}"


def read_entries(objects: Objects, known: Iterable[Entry] = (), folder: str | None = None) -> list[Entry]:
    """Read what the store, or one folder of it, holds now; metadata that is as it was in ``known`` is not read again.

    Raises:
        InspectorError: as ``Objects``.
    """
    listed: dict[str, dict[str, FoundObject]] = {}
    for found in objects.list(folder):
        if named := _NAME.fullmatch(found.name):
            listed.setdefault(named["folder"], {})[found.name] = found
    before = {entry.folder: entry for entry in known}
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda one: _read(objects, one, listed[one], before.get(one)), sorted(listed)))


def _read(objects: Objects, folder: str, listed: Mapping[str, FoundObject], before: Entry | None) -> Entry:
    if before is not None and listed == before.objects:
        return before
    name = f"{folder}/{METADATA}"
    try:
        data = objects.get(name, _MAX_METADATA_BYTES) if name in listed else None
        if data is None:
            return Entry(folder, listed)
        return _checked(folder, listed, from_json(Sample, data))
    except BadInputError as error:
        return Entry(folder, listed, problem=f"metadata that cannot be read: {error.got}")


def _checked(folder: str, listed: Mapping[str, FoundObject], sample: Sample) -> Entry:
    if folder_of(sample.camera_id, sample.frame_id) != folder:
        return Entry(folder, listed, problem="metadata of another frame")
    sizes = {sample.sha256: sample.size_bytes} | {part.sha256: part.size_bytes for part in sample.parts}
    for sha256, size_bytes in sizes.items():
        found = listed.get(f"{folder}/{sha256}")
        if found is None or found.size_bytes != size_bytes:
            what = "the image" if sha256 == sample.sha256 else "a part"
            return Entry(folder, listed, problem=f"{what} is {'missing' if found is None else 'cut short'}")
    return Entry(folder, listed, sample)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
