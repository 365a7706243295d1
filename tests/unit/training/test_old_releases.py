"""A trainer that publishes every day does not fill Redis, and takes nothing from what serves or may be gone back to."""

from __future__ import annotations

from datetime import timedelta

from refresh_kit import NOW

from inspector.apps.trainer.old_releases import KEPT, let_go
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.release import Companion, Rollout, RolloutStage, WeightsRelease


def release(day: int, bank: str = "") -> WeightsRelease:
    return WeightsRelease(
        f"w{day}", f"file{day}", "m", NOW + timedelta(days=day), None, f"texts{day}",
        (Companion(ArtefactKind.BANK, "cam1", bank or f"bank{day}"),), f"gate{day}",
    )  # fmt: skip


def test_what_only_old_releases_name_is_let_go() -> None:
    found = {made.weights_version: made for made in map(release, range(KEPT + 3))}
    found["w2"] = release(2, bank="bank12")  # made of the same frames as that of the last release
    rollout = Rollout(9, "w12", None, RolloutStage.FULL, 0.0, False, "w1", "t1", "-", NOW)
    announced = [Announcement(ArtefactKind.BANK, "cam1", "bank0", NOW, "w0")]
    assert let_go(found, rollout, announced) == {"file0", "texts0", "gate0", "file2", "texts2", "gate2"}
    assert let_go({name: found[name] for name in list(found)[:KEPT]}, rollout, ()) == frozenset()
