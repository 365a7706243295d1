from pathlib import Path

import pytest

from inspector.domain.errors import BadInputError
from inspector.domain.gate import GateLimits
from inspector.domain.product import CameraMode
from inspector.settings import load


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "inspector.yaml"
    path.write_text(text)
    return path


FULL = """
kafka: {bootstrap_servers: "k1:9092"}
products:
  plate:
    object: metal plate
    tiles: 4
    defects: [scratch, {name: crack, threshold: 0.7, severity_weight: 2}]
    ignore: [[[0, 0], [0.1, 0], [0.1, 0.1]]]
cameras:
  allow_unknown: false
  cam1: {product: plate, line: line-4, mode: zero_shot}
"""


def test_products_and_cameras_reach_the_domain(tmp_path: Path) -> None:
    settings = load(write(tmp_path, FULL))
    plate = settings.domain_products()["plate"]
    assert plate.vocabulary.defect_types == ("scratch", "crack")
    assert plate.vocabulary.object_word == "metal plate"
    assert (plate.tiles, settings.domain_products()["default"].tiles) == (4, 1)
    assert plate.defects[1].threshold == 0.7
    camera = settings.domain_cameras()["cam1"]
    assert (camera.product, camera.line_id, camera.mode) == ("plate", "line-4", CameraMode.ZERO_SHOT)
    assert not settings.cameras.allow_unknown
    assert "default" in settings.domain_products()


def test_environment_beats_the_file_and_flags_beat_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "batch: {max_size: 2, max_wait_ms: 7}\n")
    monkeypatch.setenv("INSPECTOR_BATCH__MAX_SIZE", "3")
    assert load(path).batch.max_size == 3
    assert load(path).batch.max_wait_ms == 7
    settings = load(path, {"batch": {"max_size": 4}})
    assert (settings.batch.max_size, settings.batch.max_wait_ms) == (4, 7)


@pytest.mark.parametrize(
    "url",
    ["http://me:hunter2@h/v1", "https://hunter2@h/v1", "https://h/v1?key=hunter2", "ftp://h/hunter2", "http://[h"],
)
def test_a_models_address_holds_no_secret_and_no_other_is_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadInputError, match=r"explain: .*explain\.api_key") as caught:
        load(write(tmp_path, f'explain: {{url: "{url}", model: m, backend: openai}}\n'))
    assert "hunter2" not in str(caught.value)
    assert load(write(tmp_path, 'explain: {url: "https://h:1/v1"}\n')).explain.url == "https://h:1/v1"


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INSPECTOR_KAFKA__SECURITY__PASSWORD", "hunter2")
    monkeypatch.setenv("INSPECTOR_REDIS__URL", "redis://:hunter2@h/0")
    monkeypatch.setenv("INSPECTOR_EXPLAIN__API_KEY", "hunter2")
    settings = load()
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kafak: {}", "unknown setting kafak"),
        ("batch: {max_sise: 2}", "unknown setting batch.max_sise"),
        ("batch: {max_size: 0}", "batch.max_size"),
        ("cameras: {cam1: {product: bolt}}", "cameras.cam1.product is 'bolt'"),
        ("cameras: {cam1: {produkt: bolt}}", "unknown setting cameras.cam1.produkt"),
        ("products: {p: {defects: [a, a]}}", "these repeat: a"),
        ("products: {p: {ignore: [[[0, 0], [1, 1]]]}}", "at least three points"),
        ("products: {p: {tiles: 9}}", "products.p.tiles"),
        ("products: {p: {tiles: 0}}", "products.p.tiles"),
        ("[1, 2]", "holds a list"),
        ("a: [", "readable YAML"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInputError) as caught:
        load(write(tmp_path, text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_variable_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INSPECTOR_KAFAK__GROUP", "x")
    with pytest.raises(BadInputError, match="INSPECTOR_KAFAK__GROUP"):
        load()


@pytest.mark.parametrize("value", ["foo", '{"group":', '{"a":' * 20_000])
def test_a_variable_of_a_whole_section_that_is_no_json_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INSPECTOR_KAFKA", value)
    with pytest.raises(BadInputError, match="INSPECTOR_KAFKA__GROUP"):
        load()


def test_a_missing_file_that_was_asked_for_is_an_error_but_the_default_one_need_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    load()
    with pytest.raises(BadInputError, match=r"missing\.yaml"):
        load(tmp_path / "missing.yaml")


def test_the_gates_settings_are_the_domains_and_what_contradicts_itself_is_refused(tmp_path: Path) -> None:
    assert load(write(tmp_path, "")).gate.to_domain() == GateLimits()
    loose = load(write(tmp_path, "gate: {group_margin: 0.2, trusted_persons: [anna]}\n")).gate.to_domain()
    assert (loose.group_margin, loose.trusted_persons) == (0.2, ("anna",))
    with pytest.raises(BadInputError, match=r"gate\.person_error_bound"):
        load(write(tmp_path, "gate: {person_error_rate: 0.4}\n")).gate.to_domain()
