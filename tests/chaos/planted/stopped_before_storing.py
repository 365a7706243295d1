"""No bug, a circumstance: one inspector is stopped (SIGSTOP) with a scored batch in hand, just before it is stored."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

from journal import JournallingStore
from patching import replace

_NTH = 4
_VICTIM = "victim"


def plant() -> None:
    if os.environ.get("INSPECTOR_REPLICA") != _VICTIM:
        return
    store = JournallingStore.store
    calls = 0

    def stopping(own: Any, results: Sequence[Any], fencing_token: int) -> Any:
        nonlocal calls
        calls += bool(results)
        if calls == _NTH:
            calls += 1
            os.kill(os.getpid(), signal.SIGSTOP)
        return store(own, results, fencing_token)

    replace(JournallingStore, "store", stopping)
