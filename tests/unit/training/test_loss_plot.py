"""The loss plot is drawn from whatever history a run leaves behind."""

import json
import re

import pytest

from inspector.domain.errors import BadInputError
from inspector.training.plot import draw_loss


def line(step, total=1.0, epoch=1, **parts):
    parts = {"classification": 0.3, "focal": 0.02, "dice": 0.2, **parts}
    return json.dumps({"step": step, "epoch": epoch, "total": total, **parts})


def drawn(tmp_path, *lines):
    history, out = tmp_path / "history.jsonl", tmp_path / "loss.svg"
    history.write_text("\n".join(lines))
    draw_loss(history, out)
    return out.read_text()


def texts(svg):
    return [" ".join(re.sub(r"<[^>]+>", " ", text).split()) for text in re.findall(r"<text.*?</text>", svg, re.DOTALL)]


def test_it_shows_total_and_parts_with_titles_and_epochs(tmp_path):
    svg = drawn(tmp_path, *(line(step, 5 / step, epoch=1 + step // 20) for step in range(1, 60)))

    shown = texts(svg)
    assert shown.count("total") == 1
    assert {f"{part} (part of it)" for part in ("classification", "focal", "dice")} <= set(shown)
    assert {"epoch 1", "epoch 2", "epoch 3", "optimiser step", "Training loss over 59 steps"} <= set(shown)


def test_one_step_is_enough(tmp_path):
    assert "Training loss over 1 step" in texts(drawn(tmp_path, line(1)))


def test_the_last_line_of_a_killed_run_is_left_out_and_counted(tmp_path):
    shown = texts(drawn(tmp_path, line(1), line(2), line(3)[:17]))

    assert "Training loss over 2 steps (1 line of the history unreadable, left out)" in shown


def test_a_step_that_a_resumed_run_repeats_is_drawn_once_as_it_went_last(tmp_path):
    repeated = drawn(tmp_path, line(1), line(2, 9.0), line(2, 4.0), line(3))

    assert repeated == drawn(tmp_path, line(1), line(2, 4.0), line(3))


def test_losses_that_are_no_numbers_are_gaps(tmp_path):
    svg = drawn(tmp_path, line(1), line(2, float("nan"), dice=None), line(3, float("inf")), line(9), line(10))

    assert "Training loss over 5 steps" in texts(svg)
    assert "nan" not in svg.lower()


@pytest.mark.parametrize(("last", "is_log"), [(0.5, False), (0.01, True)])
def test_the_axis_is_logarithmic_only_beyond_a_decade(tmp_path, last, is_log):
    parts = {"classification": 0.5, "focal": 0.5, "dice": 0.5}
    shown = texts(drawn(tmp_path, line(1, 1.0, **parts), line(2, last, **parts)))

    decade = re.compile(r"1 0 \u2212 \d")  # as in 10^-2, with a true minus sign
    assert any(decade.search(text) for text in shown) is is_log


def test_a_loss_of_zero_does_not_break_the_axis(tmp_path):
    assert texts(drawn(tmp_path, line(1, 100.0), line(2, 0.0), line(3, 1.0)))


def test_the_same_history_gives_the_same_bytes(tmp_path):
    lines = [line(step, 1 / step) for step in range(1, 30)]

    assert drawn(tmp_path, *lines) == drawn(tmp_path, *lines)
    assert "<dc:date>" not in drawn(tmp_path, *lines)


@pytest.mark.parametrize(
    "content", ["", "\n\n", "[1]\n", '{"step": -1}', '{"step": true}', '{"total": 1}', "[" * 100_000]
)
def test_a_history_without_a_step_is_refused(tmp_path, content):
    with pytest.raises(BadInputError, match="one training step"):
        drawn(tmp_path, content)


def test_files_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(BadInputError, match="readable history"):
        draw_loss(tmp_path / "none.jsonl", tmp_path / "loss.svg")
    (tmp_path / "history.jsonl").write_text(line(1))
    with pytest.raises(BadInputError, match="can be written"):
        draw_loss(tmp_path / "history.jsonl", tmp_path / "no" / "loss.svg")
