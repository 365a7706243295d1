"""Feedback on a frame whose result Redis has let go and that is kept for training: the gate asks about such frames."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from sample_kit import T0, result, sample

from inspector.apps import feedback, feedback_desk, wiring
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.records import to_json
from inspector.domain.sample import RESULT_PART
from inspector.settings import Settings


class Forgetful:
    """Results as Redis has them after their time."""

    def get(self, frame_id: str) -> None:
        return None

    def was_taken(self, frame_id: str) -> bool:
        return True

    def now(self) -> datetime:
        return T0


def test_what_the_gate_asks_about_can_be_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(samples={"place": str(tmp_path / "samples")})  # type: ignore[arg-type]  # as in a file
    said: list[Feedback] = []
    monkeypatch.setattr(wiring, "results", lambda _: Forgetful())
    monkeypatch.setattr(wiring, "feedback_masks", lambda _: None)
    monkeypatch.setattr(feedback_desk, "publish_feedback", lambda _connection, _topic, word: said.append(word))
    wanted = feedback.Request("f1", FeedbackVerdict.RIGHT, person="anna")
    with pytest.raises(BadInputError, match="its result is gone"):
        feedback.give(settings, wanted)
    assert not (tmp_path / "samples").exists()
    (tmp_path / "samples").mkdir()
    wiring.sample_store(settings).put(sample("f1", b"an image"), b"an image", {RESULT_PART: to_json(result("f1"))})
    feedback.give(settings, wanted)
    assert [(word.frame_id, word.verdict, word.weights_version) for word in said] == [
        ("f1", FeedbackVerdict.RIGHT, result("f1").weights_version)
    ]
