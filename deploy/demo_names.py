"""What the demo calls its things: plain names on servers of its own, names of one run on servers that others use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from inspector.simulator.catalogue import NAMES


@dataclass(frozen=True, slots=True)
class Names:
    """Topics, group, cameras and replicas, all starting with ``prefix``."""

    prefix: str = ""

    @property
    def group(self) -> str:
        """The inspectors' consumer group."""
        return f"{self.prefix}inspectors"

    @property
    def topics(self) -> Mapping[str, str]:
        """Every topic by the name of its setting under ``kafka``."""
        plain = {
            "frames_topic": "inspection.frames",
            "alerts_topic": "inspection.alerts",
            "dead_letter_topic": "inspection.dead-letter",
            "config_topic": "inspection.config",
            "feedback_topic": "inspection.feedback",
            "weights_topic": "inspection.weights",
        }
        return {setting: f"{self.prefix}{topic}" for setting, topic in plain.items()}

    def camera(self, product: str) -> str:
        """The camera that watches a product."""
        return f"{self.prefix}cam-{product}"

    def replica(self, number: int) -> str:
        """One inspector."""
        return f"{self.prefix}demo-{number}"

    def environment(self) -> dict[str, str]:
        """The variables that give a command of the inspector these names."""
        variables = {f"INSPECTOR_KAFKA__{setting.upper()}": topic for setting, topic in self.topics.items()}
        cameras = {self.camera(name): {"product": name} for name in NAMES}
        return {**variables, "INSPECTOR_KAFKA__GROUP": self.group, "INSPECTOR_CAMERAS": json.dumps(cameras)}
