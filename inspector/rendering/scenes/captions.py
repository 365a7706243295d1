"""What a picture shows, in words: the surface, and what is wrong with it, worded in many ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inspector.rendering.scenes.surface import pick
from inspector.rendering.synthetic import kind_of, words_of

_PREFIXES = (
    "a photo of ", "a picture of ", "an image of ", "a close-up of ", "a cropped photo of ", "an inspection image of ",
    "a bright photo of ", "a dark photo of ", "a blurry photo of ", "a photo of the ", "this is ", "", "", "",
)  # fmt: skip
_GOOD = ("flawless", "perfect", "good", "normal", "undamaged", "unblemished", "clean", "intact", "faultless")
_GOOD_AFTER = (
    " without defects", " without a defect", " without any damage", ", no defect", ", in perfect condition",
    " with nothing wrong", ", all good", " without flaws",
)  # fmt: skip
_BAD = ("a defect", "damage", "an anomaly", "a flaw", "a fault", "something wrong")
_BAD_BEFORE = ("defective", "damaged", "faulty", "flawed", "bad")
_MASS = {
    "abrasion", "rust", "corrosion", "contamination", "discoloration", "discolouration", "deformation",
    "dirt", "liquid", "pitting", "wear", "spurious copper", "excess copper", "extra copper",
    "foreign material", "copper", "residual copper", "lint", "breakage", "blistering",
}  # fmt: skip

_AS_NOUN = {"missing": "missing part"}
_ADJECTIVES = {"torn", "burnt", "bent", "misshapen", "rusty", "worn", "dirty", "broken"}


def bare(phrase: str) -> str:
    """Return ``phrase`` without its article."""
    return phrase.removeprefix("a ").removeprefix("an ").removeprefix("the ")


def with_article(words: str) -> str:
    """Return ``words`` with the article that a singular thing has."""
    return f"{'an' if words[:1].lower() in 'aeiou' else 'a'} {words}"


def plural(noun: str) -> str:
    """Return the plural of a regular English noun."""
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def piece_of(rng: np.random.Generator, noun: str, several: bool, surface: str) -> str:
    """Return what to call pieces made of ``surface``: "a disc of brushed metal", "rows of biscuits"."""
    material, form = bare(surface), rng.random()
    if several:
        return f"{plural(noun)} of {material}" if form < 0.6 else pick(rng, ("several ", "rows of ", "")) + plural(noun)
    return f"a {noun} of {material}" if form < 0.5 else with_article(noun if form < 0.75 else f"{noun}, {material}")


def caption(rng: np.random.Generator, phrase: str, kinds: Sequence[str | None]) -> str:
    """Return one sentence about ``phrase`` ("a mosaic", "brushed metal") and the defects on it.

    ``kinds`` are words of a vocabulary, None for a defect of no type; empty says that nothing is wrong.
    """
    prefix = pick(rng, _PREFIXES)
    named = bare(phrase) if prefix.endswith("the ") else phrase
    if not kinds:
        if rng.random() < 0.5:
            return f"{prefix}{_before(named, pick(rng, _GOOD))}"
        return f"{prefix}{named}{pick(rng, _GOOD_AFTER)}"
    words = [None if kind is None else _word(rng, kind) for kind in kinds]
    if all(word is None for word in words) and rng.random() < 0.4:
        return f"{prefix}{_before(named, pick(rng, _BAD_BEFORE))}"
    listed = " and ".join(dict.fromkeys(pick(rng, _BAD) if word is None else _counted(word) for word in words))
    form = rng.random()
    if form < 0.6:
        return f"{prefix}{named} with {listed}"
    if form < 0.75:
        return f"{prefix}{_before(named, pick(rng, _BAD_BEFORE))} with {listed}"
    if form < 0.9:
        return f"{listed} on {phrase}"
    return f"{prefix}{named}, defect: {listed}"


def _before(phrase: str, adjective: str) -> str:
    """Put ``adjective`` before the noun, its article in front."""
    return with_article(f"{adjective} {bare(phrase)}") if phrase != bare(phrase) else f"{adjective} {phrase}"


def _word(rng: np.random.Generator, type_word: str) -> str:
    """Return the vocabulary's word itself, or half of the time another word for the same."""
    kind = kind_of(type_word)
    return type_word if kind is None or rng.random() < 0.5 else pick(rng, words_of(kind))


def _counted(word: str) -> str:
    word = _AS_NOUN.get(word, word)
    if word.endswith("ed") or word in _ADJECTIVES:
        return with_article(f"{word} area")
    many = word.endswith("s") and not word.endswith("ss")
    return word if many or word in _MASS or word.endswith("ing") else with_article(word)
