from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Before any run that a module's tests share: another number of threads adds in another order."""
    torch.set_num_threads(1)
