from __future__ import annotations

import pytest
import torch
from dapo_models import PLATE, TINY

from inspector.dapo.prompt_weights import PromptWeights, init_prompt_weights
from inspector.domain.weights import WeightsManifest


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny() -> tuple[PromptWeights, WeightsManifest]:
    return init_prompt_weights(TINY, PLATE, seed=1)
