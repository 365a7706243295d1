"""Errors meant for a person: what was expected, what came, what to do."""

from __future__ import annotations

from inspector.domain.outcome import RejectReason


class InspectorError(Exception):
    """A problem a person can act on; commands print it as one line and exit with 1."""

    def __init__(self, expected: str, got: str, do: str) -> None:
        super().__init__(f"expected {expected}, got {got}: {do}")
        self.expected = expected
        self.got = got
        self.do = do


class ServiceUnavailableError(InspectorError):
    """Kafka or Redis cannot be reached or refuses us for now; waiting may help."""


class CredentialsError(InspectorError):
    """Kafka or Redis refuses our name or password; waiting does not help."""


class BadInputError(InspectorError):
    """A file, a setting or a record is not what it should be."""


class FrameRejectedError(Exception):
    """Raised while a frame is parsed or decoded; becomes ``Rejected(reason, detail)``."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
