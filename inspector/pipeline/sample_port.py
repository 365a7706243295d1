"""What gathering and training ask of the place where samples are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

from inspector.domain.sample import Sample

NO_PARTS: Mapping[str, bytes] = MappingProxyType({})


class SampleStore(Protocol):
    """Frames kept for training, within a budget of bytes. One frame is one sample; a later put replaces it.

    Every method raises ``ServiceUnavailableError`` while the store is away or full, and ``CredentialsError`` where it
    refuses us.
    """

    def put(self, sample: Sample, image: bytes, parts: Mapping[str, bytes] = NO_PARTS) -> bool:
        """Keep a sample whole or not at all; ``parts`` by name, which the store enters in ``Sample.parts``.

        What is worth less makes room for it. False: it looks like one that is kept, or the budget has no room for it;
        what was kept of the frame before stays.

        Raises:
            BadInputError: the bytes are not those that the sample names.
        """
        ...

    def image(self, sample: Sample) -> bytes:
        """Return the encoded frame, verified against ``sample.sha256``.

        Raises:
            BadInputError: it is gone or damaged.
        """
        ...

    def part(self, sample: Sample, name: str) -> bytes | None:
        """Return a part, verified; None where the sample has none of that name.

        Raises:
            BadInputError: as ``image``.
        """
        ...

    def samples(self, camera_id: str | None = None) -> Iterator[Sample]:
        """Yield the samples, of one camera or of all, by camera and frame id; damaged metadata is left out."""
        ...

    def remove(self, sample: Sample) -> None:
        """Remove a sample with its bytes; nothing happens where there is none."""
        ...

    def used_bytes(self) -> int:
        """Return what all objects of the store take together."""
        ...
