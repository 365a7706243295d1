"""Which frozen weights a model has: a name for them that changes when they do, found without building the model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from inspector.dapo.model_folder import model_folder, read_by_open_clip
from inspector.dapo.spec import RANDOM, ModelSpec
from inspector.domain.errors import BadInputError


def backbone_id(spec: ModelSpec) -> str:
    """Return what identifies the frozen weights of ``spec``.

    Random weights are their seed's, a tag of open_clip names weights that are published and do not change, and a file
    or folder, the bundled one among them, is the SHA-256 of its content, wherever it lies.

    Raises:
        BadInputError: the file or folder cannot be read.
    """
    if spec.pretrained == RANDOM:
        return f"random, seed {spec.seed}"
    if (folder := model_folder(spec)) is not None:
        return content_id(_file_digest(path) for path in read_by_open_clip(folder))
    file = Path(spec.pretrained)
    return content_id([_file_digest(file)]) if file.is_file() else spec.pretrained


def content_id(digests: Iterable[bytes]) -> str:
    """Return the identity of files from the SHA-256 of each, in the order of their names."""
    return f"sha256 {hashlib.sha256(b''.join(digests)).hexdigest()}"


def _file_digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise BadInputError("readable model weights", f"{error.strerror} for {path}", "check the path") from error
