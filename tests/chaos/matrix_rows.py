"""The rows of the fault matrix at full size: what ``--long`` plays, and what a smaller scale takes its share of.

Together they hold at least 300 kills of inspectors, 20 of brokers, 50 of Redis, 100,000 frames of 20 kB and 2,000 of
200 kB (tested), and are arranged so that all of it ends within hours on two cores. Where that asks for many lives, the
session is a short one: what a life does and where it ends is the same, and its successor waits less for it. Rows with
the shipped session of 10 s stand beside them.
"""

from __future__ import annotations

from faults_frames import DeadlyFrame, HostileFrames, SpoolDiskFull
from faults_inside import BadWeights, ClockSteps, OutOfMemory
from faults_inspectors import KilledAt, RebalanceStorm, StoppedAt
from faults_links import ProducerKilled, ProducerKilledDraining, SlowLink, StalledEndTxn
from faults_servers import AllBrokersDown, BrokerKilled, RedisFull, RedisKilled, RedisLogCut
from scenario import Row

from inspector.pipeline.milestones import Milestone

SHORT_SESSION = "--session-timeout-ms=3000"
_SHORTEST_OUTAGE_S = 10.0


def _scaled(full_s: float, scale: float) -> float:
    return max(min(full_s, _SHORTEST_OUTAGE_S), full_s * min(1.0, scale))


def _killed_at(point: Milestone) -> KilledAt:
    # The last step is the one at which the shipped session is waited for.
    return KilledAt((point,), () if point is Milestone.COMMITTED else (SHORT_SESSION,))


ROWS: tuple[Row, ...] = (
    *(
        Row(
            f"inspector killed: {point.value}",
            lambda _scale, point=point: _killed_at(point),  # type: ignore[misc]
            times=45,
            frames=8_000,
            rate=80,
            gap_s=0,
        )
        for point in Milestone
    ),
    Row(
        "zombie",
        lambda _scale: StoppedAt(tuple(Milestone), stop_s=6, settle_s=6, worker_options=(SHORT_SESSION,)),
        times=14,
        frames=8_000,
        gap_s=1,
    ),
    Row(
        "shipped session, zombie",
        lambda _scale: StoppedAt((Milestone.STORED,), stop_s=15, settle_s=15),
        times=1,
        frames=1_000,
        gap_s=1,
    ),
    Row("rebalance storm", lambda _scale: RebalanceStorm(), times=24, frames=5_000, gap_s=0),
    Row("broker killed", lambda _scale: BrokerKilled(away_s=8), times=15, frames=8_000, gap_s=2),
    Row(
        "all brokers down",
        lambda scale: AllBrokersDown((_scaled(150, scale), _scaled(30, scale))),
        times=2,
        frames=5_000,
    ),
    Row("slow link", lambda scale: SlowLink(_scaled(45, scale)), times=2, frames=5_000, proxied="inspectors"),
    Row("stalled link", lambda _scale: StalledEndTxn(), times=6, frames=5_000, gap_s=1, proxied="inspectors"),
    Row("producer killed: sending", lambda _scale: ProducerKilled(), times=30, frames=8_000, rate=80, gap_s=1),
    Row(
        "producer killed: draining",
        lambda _scale: ProducerKilledDraining(cut_s=10),
        times=5,
        frames=5_000,
        gap_s=1,
        proxied="producer",
    ),
    Row("spool disk full", lambda scale: SpoolDiskFull(_scaled(20, scale)), times=2, frames=3_000, proxied="producer"),
    Row("redis killed", lambda _scale: RedisKilled(), times=50, frames=8_000, gap_s=0.5),
    Row("redis away", lambda scale: RedisKilled(_scaled(60, scale)), times=2, frames=5_000),
    Row("redis full", lambda scale: RedisFull(_scaled(15, scale)), times=3, frames=3_000),
    Row("redis log cut", lambda _scale: RedisLogCut(), times=5, frames=3_000, gap_s=2, repaired=True),
    Row("clock steps", lambda _scale: ClockSteps(step_for_s=5), times=8, frames=3_000, gap_s=1),
    Row("out of memory", lambda _scale: OutOfMemory(split_s=5, nothing_s=5), times=6, frames=3_000),
    Row("hostile frames", lambda _scale: HostileFrames(), times=1_000, frames=10_000, rate=100),
    Row("decode that crashes", lambda _scale: DeadlyFrame(), times=6, frames=5_000),
    Row("bad weights", lambda _scale: BadWeights(), times=4, frames=2_000),
    Row(
        "large frames, inspector killed",
        lambda _scale: KilledAt(tuple(Milestone), (SHORT_SESSION,)),
        times=15,
        frames=2_000,
        rate=20,
        frame_bytes=200_000,
        gap_s=1,
    ),
    Row(
        "real model, inspector killed",
        lambda _scale: KilledAt(tuple(Milestone), (SHORT_SESSION,), passings=(3, 10)),
        times=7,
        frames=300,
        rate=4,
        gap_s=1,
        real_model=True,
        sections={"model": {"threads": 1}},
    ),
)
