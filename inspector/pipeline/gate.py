"""Whether a candidate's weights may be published."""

from __future__ import annotations

from inspector.domain.gate import GateDecision, GateLimits
from inspector.pipeline.gate_evidence import FrameEvidence, GateEvidence, PersonVerdict

__all__ = ["FrameEvidence", "GateDecision", "GateEvidence", "GateLimits", "PersonVerdict", "decide"]


def decide(evidence: GateEvidence, limits: GateLimits, seed: int) -> GateDecision:
    """Judge a candidate; every reason against it is named."""
    return GateDecision(
        False, ("the gate is not built yet",), evidence.current_version, evidence.candidate_version, limits, seed
    )
