"""Which frozen weights a model has: a name for them that changes when they do, found without building the model."""

from __future__ import annotations

import hashlib
from pathlib import Path

from inspector.dapo.spec import LOCAL_FOLDER, RANDOM, ModelSpec
from inspector.domain.errors import BadInputError


def backbone_id(spec: ModelSpec) -> str:
    """Return what identifies the frozen weights of ``spec``.

    Random weights are their seed's, a tag of open_clip names weights that are published and do not change, and a file
    or folder is the SHA-256 of its content, wherever it lies.

    Raises:
        BadInputError: the file or folder cannot be read.
    """
    if spec.pretrained == RANDOM:
        return f"random, seed {spec.seed}"
    if spec.name.startswith(LOCAL_FOLDER):
        folder = Path(spec.name.removeprefix(LOCAL_FOLDER))
        return _digest(sorted(path for path in folder.glob("*") if path.is_file()))
    file = Path(spec.pretrained)
    return _digest([file]) if file.is_file() else spec.pretrained


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise BadInputError("readable model weights", f"{error.strerror} for {path}", "check the path") from error
    return f"sha256 {digest.hexdigest()}"
