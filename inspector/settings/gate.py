"""Section ``gate``: what a candidate's weights are held to before they are published."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from inspector.domain.gate import GateLimits
from inspector.settings.sections import Fraction, Section

_PositiveFraction = Annotated[float, Field(gt=0, le=1)]


class GateSettings(Section):
    """Limits of the gate: see ``domain.gate.GateLimits``, which says what each is of.

    ``cameras_out_of_use``: had a bank or thresholds once, and may lose them; any other camera may not.
    """

    confidence: Annotated[float, Field(ge=0.5, le=0.9999)] = 0.95
    resamples: Annotated[int, Field(ge=1000, le=1_000_000)] = 10_000
    least_improved: Annotated[int, Field(ge=1)] = 6
    frozen_margin: Fraction = 0.03
    group_margin: Fraction = 0.08
    group_least_frames: Annotated[int, Field(ge=2)] = 20
    false_alarm_target: _PositiveFraction = 0.05
    doubtful_alarms: Fraction = 0.2
    latency_ratio: Annotated[float, Field(gt=0)] = 1.2
    type_weight: Fraction = 0.5
    person_error_rate: Fraction = 0.1
    person_significance: Annotated[float, Field(gt=0, le=0.5)] = 0.01
    person_error_bound: Fraction = 0.3
    unchecked_corrections: Annotated[int, Field(ge=0)] = 20
    trusted_persons: tuple[str, ...] = ()
    cameras_out_of_use: tuple[str, ...] = ()

    def to_domain(self) -> GateLimits:
        """Return the limits as the gate takes them. Raises BadInputError for a bound below the rate, or no name."""
        return GateLimits(**self.model_dump(exclude={"cameras_out_of_use"}))
