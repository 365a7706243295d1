"""Bug: a member whose membership changed goes on where it stands, instead of where its group has come to."""

from __future__ import annotations

from weakref import WeakSet

from kafka.structs import MemberState
from patching import replace

from inspector.adapters.kafka.membership import MembershipGuard, Standing
from inspector.pipeline.ports import Ownership


def plant() -> None:
    check = MembershipGuard.check
    begun: WeakSet[MembershipGuard] = WeakSet()

    def check_once(guard: MembershipGuard) -> Standing | None:
        if guard not in begun:
            standing = check(guard)
            if standing is not None:
                begun.add(guard)
            return standing
        metadata = guard._consumer.group_metadata()
        if metadata.state != MemberState.STABLE or metadata.generation_id < 0:
            return None
        ownership = Ownership(metadata.member_id, metadata.generation_id, metadata)
        return Standing(ownership, changed=False)

    replace(MembershipGuard, "check", check_once)
