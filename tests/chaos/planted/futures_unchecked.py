"""Bug: nobody asks the futures of the records that were sent, so a commit goes through without one of them."""

from __future__ import annotations

from typing import Any

from kafka import KafkaProducer
from patching import replace


class _Trusted:
    def get(self, timeout: float | None = None) -> None:
        """All is well, whatever happened."""


def plant() -> None:
    send = KafkaProducer.send

    def trusting(producer: Any, *record: Any, **rest: Any) -> _Trusted:
        send(producer, *record, **rest)
        return _Trusted()

    replace(KafkaProducer, "send", trusting)
