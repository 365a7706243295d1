import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Dropped, Rejected, RejectReason
from inspector.pipeline.ledger import LedgerError, OffsetLedger


def source(partition: int, offset: int) -> FrameSource:
    return FrameSource("frames", partition, offset)


def reject(src: FrameSource) -> Rejected:
    return Rejected(src, RejectReason.EMPTY, "", b"")


def test_settling_gives_the_next_offset_of_each_partition_and_the_counts() -> None:
    ledger = OffsetLedger()
    batch = [source(0, 5), source(1, 9), source(0, 7)]  # offset 6 is a transaction marker: gaps are normal
    for src in batch:
        ledger.take(src)
    offsets, counts = ledger.settle(batch, [reject(batch[2]), Dropped(batch[0], "stale"), reject(batch[1])])
    assert offsets == {("frames", 0): 8, ("frames", 1): 10}
    assert (counts.taken, counts.inspected, counts.rejected, counts.dropped) == (3, 0, 2, 1)
    assert ledger.open_frames() == 0


def test_a_frame_without_an_outcome_stops_the_commit() -> None:
    ledger = OffsetLedger()
    batch = [source(0, 1), source(0, 2)]
    for src in batch:
        ledger.take(src)
    with pytest.raises(LedgerError, match="do not match"):
        ledger.settle(batch, [reject(batch[0])])
    assert ledger.open_frames() == 2


def test_a_frame_with_two_outcomes_stops_the_commit() -> None:
    ledger = OffsetLedger()
    batch = [source(0, 1), source(0, 2)]
    for src in batch:
        ledger.take(src)
    with pytest.raises(LedgerError):
        ledger.settle(batch, [reject(batch[0]), reject(batch[0])])


def test_skipping_an_earlier_frame_stops_the_commit() -> None:
    ledger = OffsetLedger()
    for offset in (1, 2, 3):
        ledger.take(source(0, offset))
    with pytest.raises(LedgerError, match="out of order"):
        ledger.settle([source(0, 2)], [reject(source(0, 2))])


def test_taking_the_same_offset_twice_is_noticed_until_a_reset() -> None:
    ledger = OffsetLedger()
    ledger.take(source(0, 4))
    with pytest.raises(LedgerError):
        ledger.take(source(0, 4))
    ledger.reset()
    ledger.take(source(0, 4))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=60), st.data())
def test_whatever_the_batches_offsets_only_grow_and_every_frame_is_counted_once(
    steps: list[tuple[int, int]], data: st.DataObject
) -> None:
    ledger, last, taken = OffsetLedger(), dict.fromkeys(range(4), 0), []
    for partition, gap in steps:
        last[partition] += gap
        taken.append(source(partition, last[partition]))
        ledger.take(taken[-1])
    committed: dict[tuple[str, int], int] = {}
    counted, rest = 0, taken
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        batch, rest = rest[:size], rest[size:]
        offsets, counts = ledger.settle(batch, [reject(src) for src in reversed(batch)])
        counted += counts.taken
        assert all(offset > committed.get(key, 0) for key, offset in offsets.items())
        committed.update(offsets)
    assert counted == len(taken)
    assert committed == {("frames", p): offset + 1 for p, offset in last.items() if offset}
