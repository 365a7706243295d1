"""What processes tell of themselves: metrics and probes on a port, traces to a collector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from inspector.settings.sections import Fraction, Section


class MetricsSettings(Section):
    """``/metrics``, ``/livez``, ``/readyz`` and ``/startupz`` of every process that stays.

    ``port`` None: none of it; 0: a free one, which is logged. At most ``max_cameras`` cameras have a label of their
    own. ``stuck_after_s``: how long an inspector may hold frames without a commit, or not answer, and count as alive.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    max_cameras: Annotated[int, Field(ge=1, le=100_000)] = 1000
    stuck_after_s: Annotated[float, Field(ge=10)] = 120.0


class TracingSettings(Section):
    """Where spans go: an OTLP collector's HTTP address; None: nowhere, and nothing is measured.

    ``sample_ratio``: share of frames that a producer traces. Inspectors follow the frame's ``traceparent``.
    """

    endpoint: str | None = None
    sample_ratio: Fraction = 0.01
    ca_file: Path | None = None

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, endpoint: str | None) -> str | None:
        if endpoint is not None:
            parts = urlsplit(endpoint)
            if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
                # Not shown: it may hold what should not be there.
                raise ValueError("expected http(s)://HOST:PORT/v1/traces without a user or password")
        return endpoint


class WatchSettings(Section):
    """How often ``inspector watch`` looks: at lag and newest results, at outcomes (reconcile), at drift.

    A reconcile looks at frames published in the last ``reconcile_hours``, at what was committed since the one before
    it, and again at what that one found.
    """

    look_every_s: Annotated[float, Field(ge=1)] = 30.0
    reconcile_every_s: Annotated[float, Field(ge=10)] = 900.0
    reconcile_hours: Annotated[float, Field(gt=0)] = 1.0
    drift_every_s: Annotated[float, Field(ge=10)] = 3600.0
