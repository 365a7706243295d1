from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.datasets.layouts.known import known_sets
from inspector.datasets.sample import UNKNOWN
from inspector.datasets.synonyms import Synonyms
from inspector.domain.errors import BadInputError
from inspector.domain.product import DefectSpec


@pytest.mark.parametrize(
    ("word", "canonical"),
    [
        ("scratch_head", "scratch"),
        ("Scratches", "scratch"),
        ("HS", "scratch"),
        ("AK", "pit"),
        ("Small  Cracks", "crack"),
        ("combined", UNKNOWN),
        ("faulty_imprint", "faulty imprint"),
        ("thread", "loose thread"),
        ("thread_top", "damaged thread"),
        ("Lunar-Dust", "lunar dust"),
        ("", UNKNOWN),
    ],
)
def test_words_of_the_data_sets_become_one_word(word: str, canonical: str) -> None:
    assert Synonyms.built_in().canonical(word) == canonical


@given(st.text(max_size=40))
def test_a_canonical_word_stands_for_itself_and_can_be_a_defect_type(word: str) -> None:
    canonical = Synonyms.built_in().canonical(word)
    assert Synonyms.built_in().canonical(canonical) == canonical
    if len(canonical) <= 80:
        DefectSpec(canonical)


def test_every_type_of_the_published_sets_has_a_word() -> None:
    words = Synonyms.built_in()
    types = {kind for known in known_sets() for folders in known.classes.values() for kind in folders}
    assert "scratch" in {words.canonical(kind) for kind in types}
    assert len({words.canonical(kind) for kind in types}) < len(types) - 10


def load(tmp_path: Path, text: str | bytes) -> Synonyms:
    file = tmp_path / "words.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Synonyms.load(file)


def test_an_own_file_wins_over_the_built_in_words_and_adds_to_them(tmp_path: Path) -> None:
    words = load(tmp_path, "mark: [scratch]\nscratch head: [deep scratch]\nsink mark: [Einfallstelle]\n")
    assert words.canonical("scratches") == "mark"
    assert words.canonical("scratch_head") == "scratch head"
    assert words.canonical("deep-scratch") == "scratch head"
    assert words.canonical("einfallstelle") == "sink mark"
    assert words.canonical("AK") == "pit"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [b, B]", "'b' twice under 'a'"),
        ("a: [x]\nb: [x]", "'x' under both 'a' and 'b'"),
        ("a: [b]\nb: [c]", "'b' under both 'b' and 'a'"),
        ("a: [b]\nb: [a]", "under both"),
        ("a: [a]", "twice"),
        ("a: [b]\na: [c]", "the key 'a' stands there twice"),
        ("a_b: []\na-b: []", "'a b' twice"),
        ("a: [no]", "put it in quotes"),
        ("a: b", "no list of synonyms"),
        ("[a]", "a list instead"),
        ("", "a NoneType instead"),
        ("a: [", "words.yaml"),
        ("a: ['']", "printable"),
        ("[" * 3000, "nested too deeply"),
        (b"\xff\xfe", "words.yaml"),
    ],
)
def test_a_file_that_contradicts_itself_or_has_another_form_is_refused(
    tmp_path: Path, text: str | bytes, reason: str
) -> None:
    with pytest.raises(BadInputError) as error:
        load(tmp_path, text)
    assert reason in str(error.value)


def test_a_hostile_file_is_refused_at_once(tmp_path: Path) -> None:
    """Aliases of aliases would be printed as 10^12 words."""
    layers = "".join(f", &l{n + 1} [{', '.join([f'*l{n}'] * 10)}]" for n in range(12))
    with pytest.raises(BadInputError, match="put it in quotes") as error:
        load(tmp_path, f"a: [[&l0 [1]{layers}]]")
    assert len(str(error.value)) < 2000


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"gone\.yaml"):
        Synonyms.load(tmp_path / "gone.yaml")
