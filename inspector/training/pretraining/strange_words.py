"""Words that no picture explains: names of products, and defects that are not there.

A vocabulary is the user's. A model that has read only "object" takes "metal plate" for a defect, as its text tower was
never asked about it; and the row of a word that it never saw may lie anywhere, upon what is normal too.
"""

from __future__ import annotations

import numpy as np

from inspector.domain.product import ANY_OBJECT
from inspector.rendering.words import kind_of

_PRODUCTS = (
    "part", "surface", "product", "item", "metal plate", "sheet metal", "steel strip", "casting", "gear", "bearing",
    "ball screw", "shaft", "bracket", "pipe", "tube", "valve", "screw", "metal nut", "bolt", "spring", "zipper", "grid",
    "cable", "wire", "connector", "printed circuit board", "circuit board", "chip", "wafer", "transistor", "capacitor",
    "solar panel", "battery cell", "display", "lens", "glass", "bottle", "glass bottle", "vial", "syringe", "capsule",
    "pill", "tablet", "toothbrush", "brush", "candle", "cashew", "macaroni", "cookie", "biscuit", "chewing gum",
    "chocolate", "apple", "egg", "grain", "label", "package", "carton", "box", "can", "lid", "cap", "tray", "foil",
    "film", "paper", "carpet", "fabric", "textile", "woven fabric belt", "belt", "leather", "shoe", "wood", "plank",
    "veneer", "tile", "ceramic tile", "brick", "concrete", "road", "marble", "rubber ring", "gasket", "tyre", "hose",
    "plastic cover", "housing", "toy brick", "keyboard", "phone", "door panel", "car body", "weld", "rail", "insulator",
)  # fmt: skip
_HEADS = ("b", "br", "c", "cl", "d", "f", "fl", "g", "gr", "h", "k", "l", "m", "n", "p", "pl", "r", "s", "st", "t", "v")
_MIDDLES = ("a", "e", "i", "o", "u", "ai", "ea", "oo")
_TAILS = ("", "ck", "l", "m", "n", "nd", "r", "rt", "s", "sh", "t", "x")
_ANY_OBJECT_SHARE = 0.5
_PRODUCT_SHARE = 0.7  # of the other names


def object_word(rng: np.random.Generator) -> str:
    """Draw what the prompts call the product: "object" half of the time, as most vocabularies do."""
    if rng.random() < _ANY_OBJECT_SHARE:
        return ANY_OBJECT
    return _PRODUCTS[int(rng.integers(len(_PRODUCTS)))] if rng.random() < _PRODUCT_SHARE else made_up(rng)


def made_up(rng: np.random.Generator) -> str:
    """Draw one or two words of two or three syllables that mean nothing: any pieces of words may be in them.

    One syllable is often a word, and two are a defect now and then (hole): such words are drawn anew.
    """
    return " ".join(_made_up_word(rng) for _ in range(int(rng.integers(1, 3))))


def _made_up_word(rng: np.random.Generator) -> str:
    while True:
        word = "".join(_syllable(rng) for _ in range(int(rng.integers(2, 4))))
        if kind_of(word) is None:
            return word


def _syllable(rng: np.random.Generator) -> str:
    return "".join(choices[int(rng.integers(len(choices)))] for choices in (_HEADS, _MIDDLES, _TAILS))
