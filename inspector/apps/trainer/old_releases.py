"""Which artefacts of old releases may go: a refreshing trainer would fill Redis otherwise, some megabytes a day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from inspector.domain.artefact import Announcement
from inspector.domain.release import Rollout, WeightsRelease

KEPT = 10
"""So many releases keep their artefacts, the latest ones, and those that the rollout names."""

# Those that fell out lately: some may have been published by hand since, and who is let go again has a week again.
_LATELY = 5


def let_go(
    releases: Mapping[str, WeightsRelease], rollout: Rollout | None, announcements: Iterable[Announcement]
) -> frozenset[str]:
    """Return the versions of artefacts that only releases of long ago name."""
    serving = (
        set() if rollout is None else {rollout.stable_version, rollout.previous_version, rollout.candidate_version}
    )
    ordered = sorted(releases.values(), key=lambda release: (release.created_at, release.weights_version))
    old = [release for release in ordered[:-KEPT][-_LATELY:] if release.weights_version not in serving]
    kept = [*ordered[-KEPT:], *(release for release in ordered if release.weights_version in serving)]
    needed = {version for release in kept for version in _artefacts(release)}
    needed |= {announcement.version for announcement in announcements}
    return frozenset(version for release in old for version in _artefacts(release)) - needed


def _artefacts(release: WeightsRelease) -> Iterator[str]:
    yield release.artefact_version
    yield from (version for version in (release.texts_version, release.gate_report_version) if version is not None)
    yield from (companion.version for companion in release.companions)
