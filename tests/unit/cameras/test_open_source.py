"""SOURCE as people type it."""

import json
import re

import cv2
import numpy as np
import pytest

import inspector.apps.sources as sources
from inspector.apps.sources import open_source, parse_sim
from inspector.domain.errors import BadInputError
from inspector.simulator.line import line
from inspector.simulator.truth import TruthWriter


@pytest.fixture
def folder(tmp_path):
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((8, 8, 3), i, np.uint8))
    return tmp_path


def test_a_folder_is_played_once_or_in_circles(folder):
    assert [i.name for i in open_source(str(folder))] == ["0.png", "1.png", "2.png"]
    looped = open_source(str(folder), loop=True, limit=7)
    assert [i.name[0] for i in looped] == list("0120120")
    assert list(open_source(str(folder), limit=0)) == []


def test_a_looped_folder_that_was_emptied_ends_instead_of_spinning(folder):
    reports = []
    source = open_source(str(folder), loop=True, report=reports.append)
    for path in folder.iterdir():
        path.unlink()

    assert list(source) == []
    assert len(reports) == 3


def test_a_source_closed_while_looping_ends(folder):
    source = open_source(str(folder), loop=True)
    images = iter(source)
    next(images)
    source.close()

    assert list(images) == []


def test_a_virtual_line_takes_its_settings_from_the_query():
    images = list(open_source("sim:belt?seed=7&rate=1&start=4", limit=2))

    expected = line("belt", 7, 1.0)
    assert [i.image for i in images] == [expected.frame(4).jpeg, expected.frame(5).jpeg]
    assert [(i.part_id, i.lot, i.view, i.frame_id) for i in images] == [
        ("B4-000004", "B4-LOT-0001", "top", None),
        ("B4-000005", "B4-LOT-0001", "top", None),
    ]
    assert parse_sim("sim:plate?normal=1")[0].defect_rate == 0
    assert parse_sim("sim:plate") == (line("plate", 0, 0.1), 0, 1)


def test_the_truth_is_written_under_the_frames_id_and_is_not_in_what_is_published(tmp_path):
    writer = TruthWriter(tmp_path, "cam1")
    images = list(open_source("sim:board?seed=2&rate=1", limit=3, truth=writer))
    writer.close()

    entries = [json.loads(text) for text in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert [e["frame_id"] for e in entries] == [i.frame_id for i in images]
    assert all(e["defects"] for e in entries)
    types = {d["defect_type"] for e in entries for d in e["defects"]}
    for image in images:
        published = f"{image.name} {image.part_id} {image.lot} {image.view} {image.frame_id} {image.content_type}"
        assert not any(t in published for t in types)
        assert not any(t.encode() in image.image for t in types)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no/such/folder", "'no/such/folder', which does not exist"),
        ("x" * 5000, "does not exist"),
        ("null\0byte", "does not exist"),
        ("sim:bottle", "plate, belt, board"),
        ("sim:plate?colour=red", "seed, rate, normal, start"),
        ("sim:plate?seed=-1", "seed to be a whole number"),
        ("sim:plate?rate=often", "rate to be within 0..1"),
        ("sim:plate?rate=2", "defect rate within 0..1"),
        ("sim:plate?normal=yes", "normal to be 0 or 1"),
        ("usb:front", "usb:NUMBER"),
        ("http://user:secret@host/x", "other protocols"),
    ],
)
def test_what_cannot_be_opened_says_why(text, says):
    with pytest.raises(BadInputError, match=re.escape(says)) as caught:
        open_source(text)
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_negative_limit_is_refused(folder):
    with pytest.raises(BadInputError, match="limit"):
        open_source(str(folder), limit=-1)


def test_an_rtsp_password_reaches_the_camera_but_no_report(monkeypatch):
    opened, reports = [], []

    class Dead:
        def isOpened(self):
            return False

        def release(self):
            pass

    def open_dead(url):
        opened.append(url)
        return Dead()

    def report(text):
        reports.append(text)
        source.close()

    monkeypatch.setattr(sources, "open_rtsp", open_dead)
    source = open_source("rtsp://user:secret@camera/live", report=report)

    assert list(source) == []
    assert opened == ["rtsp://user:secret@camera/live"]
    assert reports == ["camera rtsp://***@camera/live gives no frames; next attempt in 1 s"]
