"""The records of trainer runs that are kept, for the trainer and for who watches it."""

from __future__ import annotations

from collections.abc import Sequence

from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json
from inspector.domain.trainer_run import TrainerRun
from inspector.pipeline.ports import ArtefactStore


def kept_runs(versions: Sequence[str], artefacts: ArtefactStore) -> list[TrainerRun]:
    """Return the records of these versions in their order; what is gone or cannot be read is left out.

    Raises:
        ServiceUnavailableError: Redis is away.
    """
    found = []
    for version in versions:
        try:
            found.append(from_json(TrainerRun, artefacts.get(version)))
        except BadInputError:
            continue
    return found
