"""How long, and how many, results are kept."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Retention:
    """Limits by age (seconds since the result was last written) and by count (frames a camera). All are above 0.

    ``duplicate_s``: how long a frame id is known to be taken, however soon its result was trimmed.
    """

    good_s: int = 24 * 3600
    defect_s: int = 30 * 24 * 3600
    good_per_camera: int = 10_000
    defect_per_camera: int = 10_000
    duplicate_s: int = 24 * 3600

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"retention.{field.name} must be at least 1, got {getattr(self, field.name)}")

    @property
    def longest_s(self) -> int:
        """Age after which nothing of a camera is left."""
        return max(self.good_s, self.defect_s)

    @property
    def stream_length(self) -> int:
        """Entries of a camera's stream that can still point at a result."""
        return self.good_per_camera + self.defect_per_camera
