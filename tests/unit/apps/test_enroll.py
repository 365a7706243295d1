"""Which cameras are enrolled: those that look at a bank."""

from __future__ import annotations

import pytest

from inspector.apps.enroll import enroll
from inspector.domain.errors import BadInputError
from inspector.settings import Settings

# Nothing listens there: whoever gets past the check fails otherwise.
NOWHERE = {"url": "redis://127.0.0.1:1/0"}


@pytest.mark.parametrize("mode", ["mutual", "zero_shot"])
def test_a_camera_that_uses_no_bank_is_given_none(mode: str) -> None:
    settings = Settings.model_validate({"redis": NOWHERE, "cameras": {"cam1": {}, "cam2": {"mode": mode}}})
    with pytest.raises(BadInputError) as refused:
        enroll(settings, [("cam1", "."), ("cam2", ".")], 8, None, as_json=False)
    assert f"expected camera cam2 of mode auto or bank, got mode {mode}, which uses no bank" in str(refused.value)
    assert "set cameras.cam2.mode to auto or bank, or use `inspector calibrate`" in str(refused.value)
