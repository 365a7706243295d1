"""Where frames are kept for training, and how many."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from inspector.settings.sections import Section


class SampleSettings(Section):
    """``place`` is a folder (one volume), or ``s3://BUCKET/PREFIX`` in S3-compatible storage.

    ``endpoint`` None is Amazon's of the ``region``; without a key, the role of the pod or machine is used. The secret
    comes from the environment or a file, never from a flag. ``max_bytes`` is for everything kept, the other numbers
    are for each camera. Pictures look alike whose pHashes differ in at most ``phash_distance`` of 64 bits; they give
    way to those that look different.
    """

    place: str = ".cache/samples"
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    secret_access_key_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    max_bytes: Annotated[int, Field(ge=2**20)] = 10 * 2**30
    normals_per_camera: Annotated[int, Field(ge=0, le=10_000)] = 320
    uncertain_per_camera: Annotated[int, Field(ge=0, le=10_000)] = 32
    phash_distance: Annotated[int, Field(ge=0, le=32)] = 2
    seed: int = 0

    @model_validator(mode="after")
    def _one_place(self) -> SampleSettings:
        if not self.place.strip() or ("://" in self.place and not self.place.startswith("s3://")):
            raise ValueError("place must be a folder or s3://BUCKET/PREFIX")
        for_s3 = ("endpoint", "access_key_id", "secret_access_key", "secret_access_key_file", "ca_file")
        unused = [name for name in for_s3 if getattr(self, name) is not None]
        if unused and not self.in_s3:
            raise ValueError(f"place is a folder, which has no use for {', '.join(unused)}")
        if self.endpoint is not None and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError("endpoint must begin with https:// or http://")
        return self

    @property
    def in_s3(self) -> bool:
        """Whether the place is in S3-compatible storage."""
        return self.place.startswith("s3://")
