"""Whom `inspector serve` lets in, by its settings: nobody from elsewhere without a token and a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inspector.apps.web_access import web_access
from inspector.domain.errors import BadInputError
from inspector.settings import Settings, load

TOKEN = "0123456789abcdef"


def serve(**section: Any) -> Settings:
    return load(flags={"serve": section})


@pytest.fixture(autouse=True)
def _empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_by_default_it_is_for_this_machine_alone() -> None:
    settings = serve()
    access = web_access(settings)
    assert settings.serve.host == "127.0.0.1"
    assert access.hosts == {"127.0.0.1", "localhost", "[::1]"}
    assert (access.token, access.origins) == (None, frozenset())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "inspector.plant.example", "2001:db8::1"])
def test_where_others_reach_it_there_must_be_a_token(host: str) -> None:
    with pytest.raises(BadInputError, match=r"serve\.token_file"):
        web_access(serve(host=host, allowed_hosts=["inspector.plant.example"]))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_the_loopback_none_is_needed(host: str) -> None:
    assert web_access(serve(host=host)).token is None


def test_the_token_comes_from_a_file_and_is_always_asked_for_then(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert web_access(serve(token_file=file)).token == TOKEN
    assert web_access(serve(host="10.1.2.3", token_file=file)).hosts == {"10.1.2.3"}


@pytest.mark.parametrize("content", ["", "\n", "short", "sixteen letters\x1b", "sechzehn zeichen ä"])
def test_a_token_that_is_none_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    with pytest.raises(BadInputError) as caught:
        web_access(serve(token_file=file))
    assert not content.strip() or content not in str(caught.value)


def test_bound_to_every_address_it_wants_to_be_told_its_names() -> None:
    with pytest.raises(BadInputError, match="allowed_hosts"):
        web_access(serve(host="0.0.0.0", token=TOKEN))
    access = web_access(serve(host="0.0.0.0", token=TOKEN, allowed_hosts=["inspector.plant.example"]))
    assert access.hosts == {"inspector.plant.example", "127.0.0.1", "localhost", "[::1]"}


@pytest.mark.parametrize(
    "section",
    [
        {"allowed_origins": ["*"]},
        {"allowed_origins": ["https://*.example"]},
        {"allowed_origins": ["https://page.example/"]},
        {"allowed_hosts": ["http://a"]},
        {"allowed_hosts": ["a:80"]},
        {"allowed_hosts": ["*"]},
        {"port": 65_536},
        {"max_body_bytes": 10},
    ],
    ids=str,
)
def test_wildcards_and_addresses_that_never_match_are_refused_early(section: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match=next(iter(section))):
        serve(**section)


def test_the_token_is_masked_where_settings_are_shown() -> None:
    assert TOKEN not in str(serve(token=TOKEN).model_dump(mode="json"))
