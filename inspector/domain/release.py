"""Published prompt weights and their rollout: records of ``inspection.weights``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.checks import check_moment, check_number
from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary

RELEASE_SCHEMA = "inspection.release/1"
ROLLOUT_SCHEMA = "inspection.rollout/1"

ROLLOUT_KEY = "rollout"
"""The compaction key of the one live ``Rollout``."""

# What every reader of JSON can tell from its neighbours.
_LAST_REVISION = 2**53

_VERSION = re.compile(r"[A-Za-z0-9._-]{1,128}")


def check_version(name: str, version: str | None) -> None:
    """Refuse what cannot be a version: versions become parts of keys, and come from records that anyone may write.

    Raises:
        BadInputError: it is not 1 to 128 letters, digits, dots, dashes or underscores. None passes.
    """
    if version is not None and not _VERSION.fullmatch(version):
        raise BadInputError(f"{name} of letters, digits, . _ -", repr(version[:100]), f"correct {name}")


@dataclass(frozen=True, slots=True)
class Companion:
    """A bank or a calibration that was made for the weights of a release, as an artefact's version (SHA-256)."""

    kind: ArtefactKind
    subject: str
    version: str

    def __post_init__(self) -> None:
        check_version("a companion's version", self.version)


@dataclass(frozen=True, slots=True)
class GoldenScores:
    """What weights scored the golden batch with, as logits, looking for the words of a vocabulary.

    Raises:
        BadInputError: something that is no number.
    """

    vocabulary: Vocabulary
    logits: tuple[float, ...]

    def __post_init__(self) -> None:
        for value in self.logits:
            check_number("a golden score", value, -math.inf)


@dataclass(frozen=True, slots=True)
class WeightsRelease:
    """Record of ``inspection.weights`` (key ``version/WEIGHTS_VERSION``): weights that may be served.

    ``weights_version`` is the manifest's (hash of its tensors and of what it says); ``artefact_version`` is the SHA-256
    of the file's bytes, under which the artefact store holds them. ``texts_version``: T of the vocabularies that were
    configured when it was published. ``gate_report_version``: why it was published; None where a person did it.
    ``companions`` are banks and calibrations made for these weights; what is announced later for them wins. ``golden``:
    what they scored where they were published, which they have to score wherever they serve; None in older records.

    Raises:
        BadInputError: something that cannot be a version, or a moment without a time zone.
    """

    weights_version: str
    artefact_version: str
    model: str
    created_at: datetime
    parent_version: str | None = None
    texts_version: str | None = None
    companions: tuple[Companion, ...] = ()
    gate_report_version: str | None = None
    golden: GoldenScores | None = None
    schema: str = RELEASE_SCHEMA

    def __post_init__(self) -> None:
        for name in ("weights_version", "artefact_version", "parent_version", "texts_version", "gate_report_version"):
            check_version(name, getattr(self, name))
        check_moment("created_at", self.created_at)

    @property
    def key(self) -> str:
        """The compaction key: releases stay, for a rollback may need any of them."""
        return f"version/{self.weights_version}"

    def announcements(self) -> tuple[Announcement, ...]:
        """Return the companions as if each had been announced for these weights when they were published."""
        return tuple(
            Announcement(each.kind, each.subject, each.version, self.created_at, self.weights_version)
            for each in self.companions
        )


class RolloutStage(StrEnum):
    """How far a candidate has come.

    ``shadow``: it scores a share of the frames beside the stable version, and nothing follows from it. ``canary``: it
    serves a share of the cameras. ``full``: there is no candidate, the stable version serves all.
    """

    SHADOW = "shadow"
    CANARY = "canary"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Rollout:
    """Record of ``inspection.weights`` (key ``rollout``): which published weights serve, and which are on trial.

    ``canary_share`` (0..1) of the cameras are served by the candidate in stage canary. ``pinned``: nobody but a person
    changes it. ``previous_version`` served before ``stable_version``; the line goes back to it when that is vetoed.
    ``stable_since``: when the stable version was promoted; None where a person chose it. ``offered_at``: when
    what is on trial, or was until it became stable, was offered: what an earlier trial found of it does not count.

    Raises:
        BadInputError: stage and candidate do not fit, the candidate is the stable version, a number out of range, or a
            moment without a time zone.
    """

    revision: int
    stable_version: str
    candidate_version: str | None
    stage: RolloutStage
    canary_share: float
    pinned: bool
    previous_version: str | None
    decided_by: str
    reason: str
    decided_at: datetime
    stable_since: datetime | None = None
    offered_at: datetime | None = None
    schema: str = ROLLOUT_SCHEMA

    def __post_init__(self) -> None:
        for name in ("stable_version", "candidate_version", "previous_version"):
            check_version(name, getattr(self, name))
        for name in ("decided_at", "stable_since", "offered_at"):
            check_moment(name, getattr(self, name))
        check_number("revision", self.revision, 1, _LAST_REVISION)
        check_number("canary_share", self.canary_share, 0, 1)
        if (self.candidate_version is None) is not (self.stage is RolloutStage.FULL):
            raise BadInputError(
                "a candidate in stage shadow or canary, and none in stage full",
                f"stage {self.stage} with candidate {self.candidate_version}",
                "correct what wrote the rollout",
            )
        if self.candidate_version == self.stable_version:
            raise BadInputError("a candidate other than the stable version", self.stable_version, "name another one")

    @property
    def key(self) -> str:
        """The compaction key: there is one rollout."""
        return ROLLOUT_KEY

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that it names: stable, then candidate and the one before where there are."""
        named = (self.stable_version, self.candidate_version, self.previous_version)
        return tuple(version for version in named if version is not None)
