"""The report is one file: it fetches nothing, runs nothing but its own script, and shows names as text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from made_up import evaluation, hostile, unit

from inspector.domain.result import ScoreMode
from inspector.evaluation.metrics import Metric
from inspector.evaluation.report.render import render

HOSTILE = "<img src=x onerror=alert(1)>\"'&</script><script>alert(2)</script>{{ 7*7 }}"


class Page(HTMLParser):
    """Collects what a browser would make of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.raw:
            self.raw[self._inside][-1] += data
        else:
            self.text += data


@pytest.fixture(scope="module")
def page() -> Page:
    bank = [unit(mode=ScoreMode.BANK, shots=shots, seed=seed) for shots in (1, 4) for seed in (0, 1)]
    return Page(render(evaluation(unit(), *bank, unit(mode=ScoreMode.MUTUAL))))


def test_nothing_is_fetched(page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}, tag
        for name in ("src", "href", "action", "poster", "srcset", "data", "xlink:href"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:image/jpeg;base64,", "#")), (tag, name, address)
    assert not re.search(r"url\(|@import|https?://", "".join(page.raw["style"] + page.raw["script"]))


def test_only_its_own_style_and_script_are_allowed(page: Page) -> None:
    policy = next(a["content"] for t, a in page.elements if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for directive, texts in (("style-src", page.raw["style"]), ("script-src", page.raw["script"])):
        digests = {f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in texts}
        assert rules[directive] in digests
    # What the policy would refuse must not be needed.
    assert not [a for _, a in page.elements if "style" in a or any(name.startswith("on") for name in a)]


def test_names_from_folders_are_shown_and_never_run() -> None:
    html = render(evaluation(hostile(unit(), HOSTILE)))
    page = Page(html)
    assert [t for t, a in page.elements if t == "img" and a.get("src") == "x"] == []
    scripts = [a.get("type") for t, a in page.elements if t == "script"]
    assert scripts == ["application/json", None]
    assert HOSTILE in page.text
    assert "49" not in re.findall(r"\{\{.*?\}\}", html)
    assert json.loads(page.raw["script"][0])["groups"] == [HOSTILE]


def test_the_slider_has_every_score_as_recorded() -> None:
    one = unit()
    data = json.loads(Page(render(evaluation(one))).raw["script"][0])
    assert data["scores"] == [image.raw_score for image in one.images]
    kinds = ["good" if kind < 0 else data["groups"][kind] for kind in data["truth"]]
    assert kinds == [" + ".join(image.types) or "good" for image in one.images]


def test_a_threshold_counts_its_false_alarms_and_misses(page: Page) -> None:
    one = unit()
    false_alarms = sum(image.raw_score >= 0.6 for image in one.images if not image.anomalous)
    missed = sum(image.raw_score < 0.6 for image in one.images if image.anomalous)
    row = page.text[page.text.index("F1-max") :]
    assert re.search(rf"0\.6\s*{false_alarms}\s+of 20\s*{missed}\s+of 40", row), row[:200]


def test_the_spread_and_the_reason_of_what_is_missing_are_shown(page: Page) -> None:
    assert re.search(r"1-shot\s+71\.2\s+± 0\.4", page.text)  # (0.71 + 0.715) / 2 and their deviation
    assert "AUPRO: without plate: no mask" in page.text


def test_figures_that_look_alike_are_marked_alike() -> None:
    metrics = [{"image_auroc": Metric(value)} for value in (0.99999, 1.0, 0.5)]
    modes = [ScoreMode.ZERO_SHOT, ScoreMode.BANK, ScoreMode.MUTUAL]
    units = [replace(unit(mode=mode), metrics=found) for mode, found in zip(modes, metrics, strict=True)]
    assert render(evaluation(*units)).count("<strong>100.0</strong>") == 2


def test_a_reason_that_several_figures_share_stands_there_once() -> None:
    """Thirty classes that all lack ten figures would fill pages before the first chart."""
    long = "; ".join(f"class {number}: no mask" for number in range(200))
    metrics = dict.fromkeys(("pixel_auroc", "pixel_ap", "aupro"), Metric(None, long))
    text = Page(render(evaluation(replace(unit(), metrics=metrics)))).text
    (note,) = re.findall(r"pixel AUROC, pixel AP, AUPRO: without plate: .*", text)
    assert len(note) < 500


def test_published_figures_stand_beside_their_own_data_set_only() -> None:
    classes = ("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes")
    units = [unit(name, dataset="MPDD") for name in classes]
    of_mpdd = Page(render(evaluation(*units, layout="mpdd"))).text
    assert "published, not run here" in of_mpdd
    assert re.search(r"AnomalyCLIP\s*77\.0\s*82\.0\s*96\.5\s*88\.7", of_mpdd)
    assert "Published figures are zero-shot, of the whole of MPDD" in of_mpdd
    one = unit("Bear", dataset="MAD-Real")
    for others in (
        evaluation(*units, layout="mvtec-layout"),
        evaluation(*units[:3], layout="mpdd"),
        evaluation(one, layout="mad-real"),
    ):
        text = Page(render(others)).text
        assert "published, not run here" not in text
        assert "AnomalyCLIP" not in text


def test_the_same_data_make_the_same_page() -> None:
    assert render(evaluation(unit())) == render(evaluation(unit()))


def test_a_class_without_images_or_metrics_has_its_place() -> None:
    empty = replace(
        unit(),
        images=(),
        examples=(),
        roc=(),
        pro=(),
        confusion=None,
        metrics={"image_auroc": Metric(None, "no images")},
    )
    assert "image AUROC, false alarms, found: without plate: no images" in Page(render(evaluation(empty))).text
