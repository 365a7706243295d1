"""An outside of the trainer without Kafka and Redis: a tiny model, kept frames, and what was published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from refresh_kit import NOW, MemorySamples, missed, put
from training_kit import TINY

from inspector.adapters.memory.store import MemoryArtefactStore
from inspector.adapters.redis.trainer_lock import Busy, Lease
from inspector.apps import model_wiring
from inspector.apps.trainer.attempt import Attempts, NothingToDo
from inspector.apps.trainer.world import Serving, World, runs
from inspector.domain.artefact import Announcement
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.release import Companion, Rollout, RolloutStage, WeightsRelease
from inspector.domain.sample import SampleKind
from inspector.domain.trainer_run import TrainerRun
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.rollout_advice import Advice, Move
from inspector.settings import Settings

CORRECTED = 10
NORMAL = 40


class KeptInMemory(MemoryArtefactStore):
    """Artefacts, and which were let go."""

    def __init__(self) -> None:
        super().__init__()
        self.retired: list[str] = []

    def retire(self, version: str) -> None:
        self.retired.append(version)


class RunsInMemory:
    def __init__(self) -> None:
        self.versions: list[str] = []
        self.looks = 0

    def add(self, version: str) -> Sequence[str]:
        with suppress(ValueError):
            self.versions.remove(version)
        self.versions.insert(0, version)
        return ()

    def last(self, n: int) -> Sequence[str]:
        return self.versions[:n]

    def looked(self) -> None:
        self.looks += 1


class FakeLock:
    """``TrainerLock`` of one process; ``stolen`` makes it somebody else's."""

    life_s = 60.0

    def __init__(self) -> None:
        self.token = 0
        self.held: Lease | None = None
        self.stolen = False

    def take(self, holder: str) -> Lease | Busy:
        if self.held is not None:
            return Busy(self.held.holder, 1.0)
        self.token += 1
        self.held = Lease(self.token, holder)
        return self.held

    def keep(self, lease: Lease) -> bool:
        return not self.stolen and self.held == lease

    def leave(self, lease: Lease) -> bool:
        self.held = None
        return True


@dataclass
class Outside:
    """What the trainer meets, to be changed by a test. ``before_publishing`` is called each time it publishes."""

    settings: Settings
    book: FeedbackBook = field(default_factory=FeedbackBook)
    samples: MemorySamples = field(default_factory=MemorySamples)
    artefacts: KeptInMemory = field(default_factory=KeptInMemory)
    runs: RunsInMemory = field(default_factory=RunsInMemory)
    lock: FakeLock = field(default_factory=FakeLock)
    announcements: list[Announcement] = field(default_factory=list)
    published: dict[str, WeightsRelease] = field(default_factory=dict)
    serving: Serving | None = None
    before_publishing: Callable[[], None] = lambda: None
    stop: bool = False
    drifted: tuple[str, ...] = ()

    def attempt(self, *, now_at_once: bool = True) -> TrainerRun | NothingToDo:
        """Do as a new process would."""
        lock: object = self.lock
        attempts = Attempts(self.settings, self.world(), lock, lambda: self.stop, lambda _: None)  # type: ignore[arg-type]
        return attempts.attempt(now_at_once=now_at_once)

    def recorded(self) -> list[TrainerRun]:
        return runs(self.world(), 10)

    def world(self) -> World:
        return World(
            book=lambda: self.book,
            keep_samples=lambda _: None,
            samples=self.samples,
            serving=self._serving,
            announcements=lambda: tuple(self.announcements),
            publish=self._publish,
            advance=lambda: Advice(Move.WAIT, "nothing was published"),
            drifted=lambda: self.drifted,
            artefacts=self.artefacts,
            runs=self.runs,
        )

    def _serving(self) -> Serving:
        if self.serving is None:
            self.serving = Serving(model_wiring.prompt_weights(self.settings))
        return self.serving

    def _publish(self, file: Path, report: bytes, companions: Sequence[Companion]) -> WeightsRelease:
        self.before_publishing()
        for each in companions:
            self.artefacts.get(each.version)
        manifest = model_wiring.load_prompt_weights(self.settings, file)[1]
        made = WeightsRelease(
            weights_version=manifest.version,
            artefact_version=self.artefacts.put(file.read_bytes()),
            model=manifest.model,
            created_at=NOW,
            parent_version=self._serving().version,
            companions=tuple(companions),
            gate_report_version=self.artefacts.put(report),
        )
        self.published[manifest.version] = made
        trial = Rollout(
            1, self._serving().version, made.weights_version, RolloutStage.SHADOW, 0.0, False, None, "t1", "-", NOW
        )
        self.serving = replace(self._serving(), rollout=trial)
        return made

    def end_trial(self) -> None:
        """Take the candidate off."""
        self.serving = replace(self._serving(), rollout=None)


def outside(tmp_path: Path, **trainer: object) -> Outside:
    """A camera with normal frames, and corrections of it by one person."""
    small = {"core_scenes": 4, "core_judged": 16, "synthetic_per_camera": 4, "epochs": 1, "checkpoint_every_s": 0}
    settings = Settings(
        model={"name": TINY.name, "pretrained": "random", "engine": "torch", "threads": 1},  # type: ignore[arg-type]  # as in a file
        products={"plate": {"defects": ["scratch", "dent"]}},  # type: ignore[dict-item]  # likewise
        trainer={"work": tmp_path / "work", **small, **trainer},  # type: ignore[arg-type]  # likewise
    )
    made = Outside(settings)
    for number in range(NORMAL):
        put(made.samples, f"n{number}", number)
    for number in range(CORRECTED):
        put(made.samples, f"c{number}", 1000 + number, SampleKind.FEEDBACK)
        made.book.add(missed(f"c{number}"))
    return made


def away() -> None:
    """Raise as a broker does that cannot be reached."""
    raise ServiceUnavailableError("a broker", "none", "start it")
