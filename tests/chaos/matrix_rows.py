"""The rows of the fault matrix at full size: what ``--long`` plays, and what a smaller scale takes its share of."""

from __future__ import annotations

from faults_frames import DeadlyFrame, HostileFrames, SpoolDiskFull
from faults_inside import BadWeights, ClockSteps, OutOfMemory
from faults_inspectors import KilledAt, RebalanceStorm, StoppedAt
from faults_links import ProducerKilled, ProducerKilledDraining, SlowLink, StalledEndTxn
from faults_servers import AllBrokersDown, BrokerKilled, RedisFull, RedisKilled, RedisLogCut
from scenario import Row

from inspector.pipeline.milestones import Milestone

_SHORTEST_OUTAGE_S = 10.0


def _scaled(full_s: float, scale: float) -> float:
    return max(min(full_s, _SHORTEST_OUTAGE_S), full_s * min(1.0, scale))


ROWS: tuple[Row, ...] = (
    *(
        Row(
            f"inspector killed: {point.value}",
            lambda _scale, point=point: KilledAt((point,)),  # type: ignore[misc]
            times=45,
            frames=8_000,
            gap_s=1,
        )
        for point in Milestone
    ),
    Row("zombie", lambda _scale: StoppedAt(tuple(Milestone)), times=21, frames=8_000),
    Row("rebalance storm", lambda _scale: RebalanceStorm(), times=40, frames=5_000),
    Row("broker killed", lambda _scale: BrokerKilled(), times=21, frames=8_000),
    Row("all brokers down", lambda scale: AllBrokersDown(_scaled(150, scale)), times=2, frames=5_000),
    Row("slow link", lambda scale: SlowLink(_scaled(60, scale)), times=4, frames=5_000, proxied="inspectors"),
    Row("stalled link", lambda _scale: StalledEndTxn(), times=6, frames=5_000, proxied="inspectors"),
    Row("producer killed: sending", lambda _scale: ProducerKilled(), times=30, frames=8_000),
    Row("producer killed: draining", lambda _scale: ProducerKilledDraining(), 10, 8_000, proxied="producer"),
    Row("spool disk full", lambda scale: SpoolDiskFull(_scaled(60, scale)), 3, 5_000, proxied="producer"),
    Row("redis killed", lambda _scale: RedisKilled(), times=50, frames=8_000, gap_s=2),
    Row("redis away", lambda scale: RedisKilled(_scaled(60, scale)), times=3, frames=5_000),
    Row("redis full", lambda scale: RedisFull(_scaled(30, scale)), times=5, frames=5_000),
    Row("redis log cut", lambda _scale: RedisLogCut(), times=5, frames=5_000, repaired=True),
    Row("clock steps", lambda _scale: ClockSteps(), times=8, frames=5_000),
    Row("out of memory", lambda _scale: OutOfMemory(), times=10, frames=5_000),
    Row("hostile frames", lambda _scale: HostileFrames(), times=1_000, frames=10_000),
    Row("decode that crashes", lambda _scale: DeadlyFrame(), times=10, frames=5_000),
    Row("bad weights", lambda _scale: BadWeights(), times=4, frames=2_000),
    Row(
        "large frames, inspector killed",
        lambda _scale: KilledAt(tuple(Milestone)),
        times=15,
        frames=2_000,
        rate=10,
        frame_bytes=200_000,
        gap_s=1,
    ),
    Row(
        "real model, inspector killed",
        lambda _scale: KilledAt(tuple(Milestone)),
        times=15,
        frames=1_000,
        rate=6,
        gap_s=1,
        real_model=True,
        sections={"model": {"threads": 1}},
    ),
)
