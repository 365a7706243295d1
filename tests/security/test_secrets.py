"""Secrets come from files or the environment; no flag takes one, and nothing that describes the settings shows one."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from inspector.apps import wiring
from inspector.cli import app
from inspector.domain.errors import BadInputError
from inspector.settings import Settings, load

SECRET = "s3cr3t-Qq7"
SECRET_SETTINGS = {
    "INSPECTOR_KAFKA__SECURITY__PASSWORD": SECRET,
    "INSPECTOR_REDIS__PASSWORD": SECRET,
    "INSPECTOR_REDIS__SENTINEL_PASSWORD": SECRET,
    "INSPECTOR_REDIS__URL": f"rediss://me:{SECRET}@h:1/0",
    "INSPECTOR_EXPLAIN__API_KEY": SECRET,
}


def test_no_verb_has_a_flag_that_takes_a_secret() -> None:
    found = []

    def walk(command: object, path: str) -> None:
        for name, child in getattr(command, "commands", {}).items():
            walk(child, f"{path} {name}")
        found.extend((path, flag) for param in command.params for flag in param.opts)  # type: ignore[attr-defined]

    walk(typer.main.get_command(app), "inspector")
    assert len(found) > 50
    words = ("password", "secret", "api-key", "api_key", "credential", "passwd", "user")
    assert [(path, flag) for path, flag in found if any(word in flag for word in words)] == []


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.chdir(tmp_path)
    for name, value in SECRET_SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("INSPECTOR_KAFKA__SECURITY__PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("INSPECTOR_KAFKA__SECURITY__USERNAME", "me")
    return load()


def test_what_describes_the_settings_or_a_connection_shows_no_secret(settings: Settings) -> None:
    described = [repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())]
    described += [repr(wiring.kafka_connection(settings)), repr(wiring.redis_access(settings))]
    for arguments in (["doctor", "--settings"], ["doctor", "--settings", "--json"]):
        shown = CliRunner().invoke(app, arguments)
        assert shown.exit_code == 0
        described.append(shown.output)
    assert not any(SECRET in text for text in described)
    assert wiring.kafka_connection(settings).sasl_password == SECRET  # it was there to be shown


@pytest.mark.parametrize("place", ["kafka: {security: {password: %s, colour: red}}", "redis: {password: [%s]}"])
def test_an_error_in_the_settings_does_not_quote_a_secret(tmp_path: Path, place: str) -> None:
    file = tmp_path / "inspector.yaml"
    file.write_text(place % SECRET)
    with pytest.raises(BadInputError) as caught:
        load(file)
    assert SECRET not in str(caught.value)


def test_a_file_wins_over_the_environment_and_an_empty_one_is_an_error(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text("from-file\n")
    monkeypatch.setenv("INSPECTOR_REDIS__PASSWORD_FILE", str(file))
    assert wiring.redis_access(load()).password == "from-file"
    file.write_text("\n")
    with pytest.raises(BadInputError, match="which is empty"):
        wiring.redis_access(load())
    file.unlink()
    with pytest.raises(BadInputError, match=r"redis\.password_file"):
        wiring.redis_access(load())


def test_the_sentinels_password_may_be_a_files(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sentinel"
    monkeypatch.setenv("INSPECTOR_REDIS__SENTINEL_PASSWORD_FILE", str(file))
    with pytest.raises(BadInputError, match=r"redis\.sentinel_password_file"):
        wiring.redis_access(load())
    file.write_text("from-file\n")
    assert wiring.redis_access(load()).sentinel_password == "from-file"
    assert wiring.redis_access(load()).password == SECRET


def test_key_files_come_in_pairs(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key.pem"
    key.write_text("x")
    monkeypatch.setenv("INSPECTOR_REDIS__KEY_FILE", str(key))
    with pytest.raises(BadInputError, match=r"redis\.cert_file"):
        wiring.redis_access(load())
