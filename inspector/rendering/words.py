"""Which words mean what the renderer draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from inspector.rendering.defects import DEFECT_TYPES

# A word that is not here and names no painter is left out, never approximated: a wrong picture under a right word
# would unteach it.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "scratch": ("scratched", "scratches", "scratch mark"),
    "crack": ("cracked", "cracks", "fissure", "fracture"),
    "dent": ("dented", "dents", "indentation"),
    "hole": ("holes", "puncture", "perforation"),
    "pits": ("pit", "pitting", "pitted", "corrosion pit"),
    "stain": ("stained", "stains", "liquid", "liquid stain"),
    "contamination": (
        "contaminated", "foreign body", "foreign material", "particle", "particles", "dirt", "foreign particles",
    ),
    "tear": ("torn", "rip", "ripped"),
    "loose thread": ("thread", "loose threads", "loose fibre", "pulled thread"),
    "abrasion": ("abrasions", "abraded", "scuff", "scuffed", "worn", "wear", "rubbed area"),
    "rust": ("rusty", "rusted", "corrosion", "corroded"),
    "burnt": ("burn", "burned", "burns", "scorched", "scorch mark", "burn mark"),
    "discoloration": ("discolored", "discolouration", "discoloured", "colour fault", "faded", "color spot"),
    "bubble": ("bubbles", "blister", "blisters", "air bubble", "blistering"),
    "chip": ("chips", "chipped", "chipped edge", "breakage", "broken edge"),
    "burr": ("burrs", "ragged edge"),
    "wrinkle": ("wrinkles", "wrinkled", "fold", "folded", "crease", "creased"),
    "faulty imprint": ("misprint", "print fault", "printing defect", "smeared print", "smear", "missing print"),
    "fibre": ("fiber", "hair", "foreign fibre", "lint"),
    "deformation": ("deformed", "misshapen", "warped", "distorted", "bent"),
    "missing": ("missing part", "missing piece", "missing parts", "missing element"),
    "cut": ("cuts", "slit", "knife cut"),
    "open": ("open circuit", "broken trace", "interrupted trace", "open trace"),
    "short": ("short circuit", "bridge", "bridged traces", "shorted traces"),
    "mouse bite": ("mousebite", "mouse bites", "bitten trace"),
    "spur": ("spurs", "trace spur", "copper spur"),
    "spurious copper": ("excess copper", "copper", "extra copper", "residual copper"),
    "pin hole": ("pinhole", "pinholes", "pin holes"),
}  # fmt: skip
_KINDS = {word: kind for kind, words in _SYNONYMS.items() for word in (kind, *words)}


@cache
def kind_of(word: str) -> str | None:
    """Return which of ``DEFECT_TYPES`` a vocabulary's ``word`` means; None if the renderer has nothing like it."""
    return _KINDS.get(" ".join(word.casefold().replace("_", " ").replace("-", " ").split()))


def words_of(kind: str) -> tuple[str, ...]:
    """Return the words that mean ``kind``, itself first.

    Raises:
        KeyError: ``kind`` is not in ``DEFECT_TYPES``.
    """
    return kind, *_SYNONYMS[kind]


def undrawable(types: Sequence[str]) -> tuple[str, ...]:
    """Return the words of ``types`` that no synthetic defect can show."""
    return tuple(word for word in types if kind_of(word) is None)


if set(_SYNONYMS) != set(DEFECT_TYPES):
    raise AssertionError("each defect type needs its words")
