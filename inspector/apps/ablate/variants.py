"""What is compared: ways of scoring, and of training, each beside its group's first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inspector.apps.evaluate.plan import ObjectWord
from inspector.domain.errors import BadInputError
from inspector.domain.result import ScoreMode
from inspector.domain.weights import TextMode

ZERO_SHOT, TRAINING, BANK, MUTUAL = "zero-shot", "training", "bank", "mutual"
GROUPS = (ZERO_SHOT, TRAINING, BANK, MUTUAL)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How weights are tuned. ``synthetic``: as many painted examples as defective ones are added."""

    text_mode: TextMode = "causal"
    layer_tokens: int | None = None
    synthetic: bool = False
    tuned: bool = True


@dataclass(frozen=True, slots=True)
class Variant:
    """One row. ``shots``: of bank mode. ``scoring`` changes ``scoring.*``, ``false_alarm_rate`` calibration's aim."""

    group: str
    name: str
    what: str
    mode: ScoreMode = ScoreMode.ZERO_SHOT
    shots: int = 0
    scoring: tuple[tuple[str, object], ...] = ()
    tiles: int = 1
    object_word: ObjectWord = "object"
    recipe: Recipe = Recipe()
    false_alarm_rate: float | None = None

    @property
    def id(self) -> str:
        """What ``--only`` calls it."""
        return f"{self.group}/{self.name}"


def _bank(name: str, what: str, shots: int = 16, tiles: int = 1, **scoring: object) -> Variant:
    return Variant(BANK, name, what, ScoreMode.BANK, shots, tuple(scoring.items()), tiles)


def _mutual(name: str, what: str, **scoring: object) -> Variant:
    return Variant(MUTUAL, name, what, ScoreMode.MUTUAL, 0, tuple(scoring.items()))


def _trained(name: str, what: str, recipe: Recipe) -> Variant:
    return Variant(TRAINING, name, what, recipe=recipe)


# The first of each group is how the service scores, or trains, unless told otherwise: its built-in defaults.
VARIANTS = (
    Variant(ZERO_SHOT, "default", "image score of the kind that the weights were tuned for"),
    Variant(ZERO_SHOT, "cls", "image score of CLS alone, as published", scoring=(("image_score", "cls"),)),
    Variant(
        ZERO_SHOT,
        "contrast",
        "image score of the map's mean and of the strangest spot in the frame",
        scoring=(("image_score", "contrast"),),
    ),
    Variant(ZERO_SHOT, "mean", "image score of the mean of the map", scoring=(("image_score", "mean"),)),
    Variant(ZERO_SHOT, "fused", "image score of CLS and the map's highest values", scoring=(("image_score", "fused"),)),
    Variant(ZERO_SHOT, "class-word", "the part's name in the prompts instead of 'object'", object_word="class"),
    Variant(ZERO_SHOT, "tiles-2", "four overlapping tiles a frame", tiles=2),
    _trained("default", "as published: causal text, tokens in every layer", Recipe()),
    _trained("bidirectional", "text tower without its causal mask", Recipe(text_mode="bidirectional")),
    _trained("no-layer-tokens", "contexts and adapters only: no progressive tuning", Recipe(layer_tokens=0)),
    _trained("synthetic", "painted defects added, one for each defective image", Recipe(synthetic=True)),
    _trained("untrained", "the control: weights as they are drawn", Recipe(tuned=False)),
    _bank("default", "16 normal images"),
    _bank("4-shot", "4 normal images", shots=4),
    _bank("1-shot", "1 normal image", shots=1),
    _bank("in-place", "references of the same place only", bank_matching="in_place"),
    _bank("anywhere", "references of any place only", bank_matching="anywhere"),
    _bank("small-coreset", "a quarter of the references, of any place", bank_matching="anywhere", bank_patches=256),
    _bank("half-memory", "8 of the 16 images kept in place", bank_frames=8),
    Variant(BANK, "aim-10", "calibrated to 10 % of false alarms", ScoreMode.BANK, 16, false_alarm_rate=0.1),
    _bank("texture", "hand-made texture alone", bank_levels="texture"),
    _bank("tower", "the vision tower's features alone", bank_levels="tower"),
    _bank("detail", "without texture at four times the tower's size", bank_levels="detail"),
    _bank("coarse", "the tower's features and texture at its own size in the place of details", bank_levels="coarse"),
    _bank("distances", "distances alone: the zero-shot map has no share", bank_fusion="none"),
    _bank("highest", "image score of the map's highest value", peak_fraction=0.0),
    # With three times the patches, as many references as without tiles would measure their want, see ScoringSettings.
    _bank("tiles-2", "four overlapping tiles a frame, and four times the references", tiles=2, bank_patches=4096),
    _mutual("default", "the nearest 30 % of the frames count"),
    _mutual("plain-mean", "all frames count: nothing is trimmed", mutual_keep=1.0),
    _mutual("nearest-tenth", "the nearest 10 % of the frames count", mutual_keep=0.1),
    _mutual("distances", "distances alone: the zero-shot map has no share", mutual_fusion="none"),
    _mutual("highest", "image score of the map's highest value", peak_fraction=0.0),
    _mutual("16-frames", "half as many frames are remembered", mutual_frames=16),
)


def chosen(only: Sequence[str] | None, *, with_training: bool) -> tuple[Variant, ...]:
    """Return the variants to measure, each group's default first; ``only`` names groups, or variants as group/name.

    Raises:
        BadInputError: a name is unknown, or asks for training where there is nothing to train on.
    """
    every = [variant for variant in VARIANTS if with_training or variant.group != TRAINING]
    if only is None:
        return tuple(every)
    known = {*GROUPS, *(variant.id for variant in VARIANTS)}
    if unknown := sorted(set(only) - known):
        raise BadInputError("groups or rows of the ablation", ", ".join(unknown), f"use {', '.join(sorted(known))}")
    if not with_training and any(name.split("/")[0] == TRAINING for name in only):
        raise BadInputError("data sets to train on for training rows", "none", "add --train DATASET")
    named = {variant.group for variant in every if variant.id in only}
    return tuple(
        variant
        for variant in every
        # The row that others are compared with is always there.
        if variant.group in only or variant.id in only or (variant.name == "default" and variant.group in named)
    )
