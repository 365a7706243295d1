"""Back-pressure under a load that is twice what the line can take: it keeps its pace, and memory is bounded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from local_services import Services

SCRIPT = Path(__file__).with_name("overload.py")


@pytest.mark.long
@pytest.mark.services
@pytest.mark.timeout(1200)
def test_twice_the_load_for_five_minutes_keeps_the_peak_and_the_memory(services: Services) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--seconds", "300", "--score-ms", "10"],
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
        env={**os.environ, "KAFKA_BOOTSTRAP": services.kafka_bootstrap, "REDIS_URL": services.redis_url},
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    found = json.loads(done.stdout)
    assert found["ratio"] >= 0.95
    assert found["rss_growth_mb"] <= 100
    assert found["backlog_frames"] > 0, "it was no overload"
