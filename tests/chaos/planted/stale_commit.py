"""No bug, a circumstance: the third commit comes with a membership that the group does not know (any more)."""

from __future__ import annotations

from typing import Any

from patching import replace

from inspector.adapters.kafka import transaction

_NTH = 3


def plant() -> None:
    commit = transaction.commit_transaction
    commits = 0

    def once_stale(producer: Any, group_metadata: Any, *rest: Any, **more: Any) -> None:
        nonlocal commits
        commits += 1
        if commits == _NTH:
            group_metadata = group_metadata._replace(member_id="somebody-else")
        commit(producer, group_metadata, *rest, **more)

    replace(transaction, "commit_transaction", once_stale)
