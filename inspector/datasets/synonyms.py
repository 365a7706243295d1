"""One word for one kind of defect: data sets say ``scratch_head``, ``Scratches`` or ``HS``, and mean a scratch."""

from __future__ import annotations

import reprlib
from collections.abc import Hashable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from inspector.datasets.sample import UNKNOWN
from inspector.domain.checks import check_word
from inspector.domain.errors import BadInputError
from inspector.domain.text import printable, shortened
from inspector.vision.image_file import printable as printable_path

_MAX_BYTES = 1_000_000


class Synonyms:
    """Which word of the vocabulary a data set's word stands for; words it does not list stand for themselves."""

    def __init__(self, own: Mapping[str, str], built_in: Mapping[str, str]) -> None:
        self._own = own
        self._built_in = built_in

    @staticmethod
    def built_in() -> Synonyms:
        """Return the words of the data sets in ``vocabulary.yaml``."""
        return Synonyms({}, _built_in())

    @staticmethod
    def load(path: Path) -> Synonyms:
        """Return the words of a user's file on top of the built-in ones; where both name a word, the file wins.

        The file maps each word of the vocabulary to the words that mean it: ``scratch: [scratches, scoring]``.

        Raises:
            BadInputError: it cannot be read, has another form, or a word stands for two others, or for one that
                stands for a third.
        """
        shown = printable_path(path)
        try:
            data = path.read_bytes()[: _MAX_BYTES + 1]
            text = data.decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInputError("a readable vocabulary file", f"{shown}: {error}", "check the path") from error
        if len(data) > _MAX_BYTES:
            raise BadInputError(f"a vocabulary file of at most {_MAX_BYTES} bytes", shown, "shorten it")
        return Synonyms(_parse(text, shown), _built_in())

    def canonical(self, word: str) -> str:
        """Return the vocabulary's word for ``word``, whose case, underscores and hyphens do not matter."""
        plain = folded(word) or UNKNOWN
        if plain in self._own:
            return self._own[plain]
        known = self._built_in.get(plain, plain)
        return self._own.get(known, known)


def folded(word: str) -> str:
    """Return ``word`` in lower case, with single spaces between its parts, printable."""
    return " ".join(printable(word).casefold().replace("_", " ").replace("-", " ").split())


@cache
def _built_in() -> Mapping[str, str]:
    text = resources.files("inspector.datasets").joinpath("vocabulary.yaml").read_text(encoding="utf-8")
    return _parse(text, "vocabulary.yaml")


def _parse(text: str, shown: str) -> Mapping[str, str]:
    """Return word -> word of the vocabulary, the vocabulary's own words among them. Raises as ``Synonyms.load``."""
    try:
        content = yaml.load(text, _UniqueKeys)  # noqa: S506  a SafeLoader that also refuses a key given twice
    except (yaml.YAMLError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise BadInputError("a vocabulary file as YAML", f"{shown}: {reason}", "mend the file") from error
    if not isinstance(content, dict):
        raise _wrong(shown, f"a {type(content).__name__} instead of words and their synonyms")
    words: dict[str, str] = {}
    for key in content:
        _add(words, _word(key, shown), _word(key, shown), shown)
    for key, synonyms in content.items():
        if not isinstance(synonyms, list):
            raise _wrong(shown, f"no list of synonyms after {_brief(key)}")
        for synonym in synonyms:
            _add(words, _word(synonym, shown), _word(key, shown), shown)
    return words


def _add(words: dict[str, str], word: str, canonical: str, shown: str) -> None:
    before = words.get(word)
    if before == canonical:
        raise _wrong(shown, f"{word!r} twice under {canonical!r}")
    if before is not None:
        raise _wrong(shown, f"{word!r} under both {before!r} and {canonical!r}")
    words[word] = canonical


def _word(value: Any, shown: str) -> str:
    if not isinstance(value, str):  # YAML reads no, on and 12 as other things than words
        raise _wrong(shown, f"{_brief(value)}, which YAML does not read as text: put it in quotes")
    check_word(f"a word of {shown}", value)
    return folded(value)


def _brief(value: Any) -> str:
    # Aliases of aliases, written out, are longer than any memory.
    return shortened(reprlib.repr(value), 100)


def _wrong(shown: str, what: str) -> BadInputError:
    return BadInputError(
        "each word once, as a word of the vocabulary or in the list of one", f"{shown} with {what}", "mend the file"
    )


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key in (self.construct_object(key, deep=True) for key, _ in node.value):
            if not isinstance(key, Hashable):
                break  # refused below
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {_brief(key)} stands there twice", node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)
