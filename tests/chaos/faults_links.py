"""Faults of the link between a process and the brokers, made by the proxy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy import END_TXN
from scenario import Stage

_MBIT_BYTES = 125_000
_MOST_KILLS_FOR_A_REPEAT = 20


@dataclass
class SlowLink:
    """Every byte between inspectors and brokers comes late and slowly for ``slow_s``."""

    slow_s: float = 30.0
    round_trip_s: float = 0.2
    mbit_per_s: float = 1.0
    worker_options: Sequence[str] = ()
    _carried_bytes: int = field(default=0, repr=False)

    @property
    def how(self) -> str:
        return f"+{1000 * self.round_trip_s:.0f} ms, {self.mbit_per_s:.0f} Mbit/s a connection, {self.slow_s:.0f} s"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        link = stage.cluster.proxy.link
        before = link.carried_bytes
        link.delay_s, link.bytes_per_s = self.round_trip_s / 2, self.mbit_per_s * _MBIT_BYTES
        time.sleep(self.slow_s)
        link.be_healthy()
        self._carried_bytes += (carried := link.carried_bytes - before)
        # Heartbeats alone would be a few kilobytes.
        if carried < self.slow_s * _MBIT_BYTES / 10:
            stage.problems.append(f"{carried} bytes went over the slow link: the fault was none")
        stage.happened()

    def finish(self, stage: Stage) -> None:
        stage.cluster.proxy.link.be_healthy()
        stage.note = f"{self._carried_bytes / 1e6:.1f} MB went over the slow link"


@dataclass
class StalledEndTxn:
    """Requests that end a transaction reach the broker ``stall_s`` late: the client may give up before."""

    stall_s: float = 9.0
    during_s: float = 15.0
    worker_options: Sequence[str] = ()

    @property
    def how(self) -> str:
        return f"EndTxn {self.stall_s:.0f} s late, for {self.during_s:.0f} s"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        link = stage.cluster.proxy.link
        before = link.stalls
        link.stall_s, link.stalled_api = self.stall_s, END_TXN
        time.sleep(self.during_s)
        link.be_healthy()
        if link.stalls == before:
            stage.problems.append("no EndTxn was stalled: the fault was none")
        stage.happened()

    def finish(self, stage: Stage) -> None:
        stage.cluster.proxy.link.be_healthy()


@dataclass
class ProducerKilled:
    """SIGKILL of the producer in the midst of sending; started again, it repeats what it does not know to be taken.

    Killed until it has repeated something: a kill between two frames is none that could lose or double one.
    """

    worker_options: Sequence[str] = ()

    @property
    def how(self) -> str:
        return "SIGKILL while sending"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        stage.producer.kill()
        stage.happened()
        stage.producer.start()
        acked = stage.producer.acked()
        stage.wait(lambda: stage.producer.acked() > acked, 60, "the producer sending again")

    def finish(self, stage: Stage) -> None:
        most = stage.times + _MOST_KILLS_FOR_A_REPEAT
        while not (repeated := stage.repeated()) and stage.times < most and not stage.problems:
            self.inject(stage)
        if not repeated:
            stage.problems.append(f"{stage.times} kills made it repeat nothing: the fault was none")
        stage.note = f"{repeated} frames were sent again"


@dataclass
class ProducerKilledDraining:
    """The producer's link is cut until frames wait in its spool; it is killed while it drains them.

    Started again, it makes none of the frames anew that its spool held then: if the spool forgets one, nobody has it.
    """

    cut_s: float = 20.0
    worker_options: Sequence[str] = ()
    _spooled: int = field(default=0, repr=False)

    @property
    def how(self) -> str:
        return f"link cut {self.cut_s:.0f} s, SIGKILL while the spool drains; what it held is not made anew"

    def prepare(self, stage: Stage) -> None:
        stage.producer.add("--behind-spool")

    def inject(self, stage: Stage) -> None:
        link = stage.cluster.proxy.link
        stage.cluster.proxy.cut()
        time.sleep(self.cut_s)
        acked = stage.producer.acked()
        # Slow enough to be caught in the act.
        link.bytes_per_s = 2 * _MBIT_BYTES
        stage.cluster.proxy.mend()
        if stage.wait(lambda: stage.producer.acked() > acked, 60, "the spool draining"):
            stage.producer.kill()
            stage.happened()
            spooled = stage.producer.spooled()
            if not spooled:
                stage.problems.append("the spool was empty when its producer was killed: the fault was none")
            stage.owed |= spooled
            self._spooled += len(spooled)
            link.be_healthy()
            stage.producer.start()
            killed_at = stage.producer.acked()
            stage.wait(lambda: stage.producer.acked() > killed_at, 60, "the producer sending again")

    def finish(self, stage: Stage) -> None:
        stage.cluster.proxy.link.be_healthy()
        stage.note = f"{self._spooled} frames were in the spool at the kills"
