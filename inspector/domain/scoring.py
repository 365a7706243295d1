"""How frames are scored beyond the paper's own way: settings ``scoring.*``, the same for every camera of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from inspector.domain.checks import check_number
from inspector.domain.errors import BadInputError
from inspector.domain.product import CameraMode
from inspector.domain.result import ScoreMode

ImageScore = Literal["cls", "fused", "mean", "contrast"]
BY_TUNED_WORDS: frozenset[ImageScore] = frozenset({"mean", "contrast"})
"""Image scores by the words that the weights, and so their thresholds, were tuned with, not by a product's."""
BankMatching = Literal["auto", "in_place", "anywhere"]
BankLevels = Literal["all", "detail", "coarse", "texture", "tower"]
Fusion = Literal["none", "zero_shot"]
_PEAKS = ("peak_fraction", "fine_peak_fraction")
_ZERO_SHOT_WAYS = {"mean": 3, "contrast": 4}


@dataclass(frozen=True, slots=True)
class ScoringSettings:
    """Variants of the scores; each can be switched, so that what it is worth can be measured.

    Zero-shot: ``image_score`` is the paper's CLS probability (``cls``), the mean of it and of the mean of the highest
    ``fused_top_fraction`` (above 0, at most 1) of the inspected pixels of the anomaly map (``fused``), the mean of all
    inspected pixels (``mean``), or the geometric mean of that and of how much the frame's strangest spot stands out
    from the rest of the frame (``contrast``). The last two ask for the words that tuned weights were tuned with.

    With a reference, bank or mutual: the image score is the mean of the highest ``peak_fraction`` (0 to 1; 0: the very
    highest value) of the inspected pixels: one noisy patch is no defect. Where the fine level has a share in the map,
    it is ``fine_peak_fraction`` of them: what it sees is smaller than a patch.

    Bank: ``bank_patches`` (coreset size) and ``bank_frames`` bound the memory of references matched anywhere and in
    place; ``bank_matching`` says which of the two, ``bank_levels`` which features, for mutual scoring too: details,
    which are those of a network that learnt from photographs, and where frames are matched in place also hand-made
    texture at four times the tower's size, or the tower's features where parts do not quite stand still (``all``);
    without that texture (``detail``); instead of details the tower's features and texture at its own size, in less
    than half of the time (``coarse``); ``texture`` or the ``tower`` alone. Frames of
    n x n tiles have about (0.75 n + 0.25)^2 times the patches: anywhere, they need so many more ``bank_patches``.
    ``bank_fusion``: whether the zero-shot map, beside what the normals' own maps usually say at each place, has a share
    in the score (``zero_shot``) or distances alone make it (``none``).

    Mutual: the last ``mutual_frames`` frames of a camera are each other's reference; a patch's score is the mean over
    the ``mutual_keep`` fraction of them (above 0, at most 1) that resemble it most. Below ``mutual_min_frames`` frames
    the camera is scored zero-shot; one of mode auto, which nobody asked to be scored so, below ``mutual_auto_frames``
    (at most ``mutual_frames`` count). ``mutual_memory_mb`` bounds what the frames of all cameras take; the camera that
    was silent longest forgets first. ``mutual_fusion``: as ``bank_fusion``, beside the frames' own maps.

    Raises:
        BadInputError: a value out of range, or ``mutual_min_frames`` above ``mutual_frames``.
    """

    image_score: ImageScore = "cls"
    fused_top_fraction: float = 0.01
    peak_fraction: float = 0.005
    fine_peak_fraction: float = 0.0003
    bank_patches: int = 1024
    bank_frames: int = 32
    bank_matching: BankMatching = "auto"
    bank_levels: BankLevels = "all"
    bank_fusion: Fusion = "zero_shot"
    mutual_frames: int = 32
    mutual_keep: float = 0.3
    mutual_min_frames: int = 8
    mutual_auto_frames: int = 16
    mutual_memory_mb: int = 1024
    mutual_fusion: Fusion = "zero_shot"

    def __post_init__(self) -> None:
        _check_choice("image_score", self.image_score, get_args(ImageScore))
        _check_choice("bank_matching", self.bank_matching, get_args(BankMatching))
        _check_choice("bank_levels", self.bank_levels, get_args(BankLevels))
        _check_choice("bank_fusion", self.bank_fusion, get_args(Fusion))
        _check_choice("mutual_fusion", self.mutual_fusion, get_args(Fusion))
        check_number("fused_top_fraction", self.fused_top_fraction, 0, 1, low_excluded=True)
        check_number("mutual_keep", self.mutual_keep, 0, 1, low_excluded=True)
        check_number("peak_fraction", self.peak_fraction, 0, 1)
        check_number("fine_peak_fraction", self.fine_peak_fraction, 0, 1)
        # Fewer might all be of one frame, and nothing would be left where that one is left out.
        check_number("bank_patches", self.bank_patches, 16)
        check_number("bank_frames", self.bank_frames, 2)
        # A threshold fitted on fewer is a guess: the same bound as for calibration.
        check_number("mutual_min_frames", self.mutual_min_frames, 8)
        check_number("mutual_frames", self.mutual_frames, self.mutual_min_frames)
        check_number("mutual_auto_frames", self.mutual_auto_frames, self.mutual_min_frames)
        check_number("mutual_memory_mb", self.mutual_memory_mb, 1)

    def frames_needed(self, mode: CameraMode) -> int:
        """Return how many frames a camera of a mode must have sent before they are each other's reference."""
        wanted = self.mutual_auto_frames if mode is CameraMode.AUTO else self.mutual_min_frames
        return min(wanted, self.mutual_frames)

    def variant(self, mode: ScoreMode) -> str:
        """Return the settings that raw scores of a mode hang on, where they are not the default; "" if all are.

        Mutual scores, means of a map and contrasts also say by which of our ways they were made: those of
        deploy/decisions/0034, 0033 and 0035. Of a bank's levels and references none does: it was made by its own, and
        says so by its version.
        """
        names = {
            ScoreMode.ZERO_SHOT: ("image_score", "fused_top_fraction")
            if self.image_score == "fused"
            else ("image_score",),
            ScoreMode.MUTUAL: ("mutual_keep", "bank_matching", "bank_levels", "mutual_fusion", *_PEAKS),
            ScoreMode.BANK: _PEAKS,
        }[mode]
        usual = ScoringSettings()
        values = {name: getattr(self, name) for name in names if getattr(self, name) != getattr(usual, name)}
        way = {ScoreMode.MUTUAL: 6, ScoreMode.ZERO_SHOT: _ZERO_SHOT_WAYS.get(self.image_score)}.get(mode)
        said = values if way is None else {"way": way, **values}
        return " ".join(f"{name}={value}" for name, value in said.items())


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BadInputError(f"{name} as one of {', '.join(known)}", repr(value), f"correct {name}")
