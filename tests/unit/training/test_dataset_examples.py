"""Labelled folders as training examples: what is taken, with which words, and what is left out with its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inspector.datasets.opening import open_dataset
from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary
from inspector.training.dataset_examples import DatasetExamples, normal_images
from inspector.training.examples import UnreadableExampleError

SIDE = 32


def picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def grey(value: int) -> np.ndarray:
    return np.full((64, 64, 3), value, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes: `plate` with scratches and dents, of which one nobody drew, and `board` with a hole."""
    for name in ("train/good/0", "test/good/0", "test/scratch/0", "test/dent/0", "test/dent/1"):
        picture(tmp_path / "plate" / f"{name}.png", grey(len(name)))
    for name in ("train/good/0", "test/good/0", "test/hole/0"):
        picture(tmp_path / "board" / f"{name}.png", grey(100 + len(name)))
    mask = np.zeros((64, 64), np.uint8)
    mask[:32, :32] = 255
    for name in ("plate/ground_truth/scratch", "plate/ground_truth/dent", "board/ground_truth/hole"):
        picture(tmp_path / name / "0_mask.png", mask)
    return tmp_path


def test_test_images_with_the_words_of_their_class(folder: Path) -> None:
    examples = DatasetExamples([open_dataset(folder)], SIDE)
    made = [examples[i] for i in range(len(examples))]
    board, plate = Vocabulary(("hole",)), Vocabulary(("dent", "scratch"))
    assert sorted(
        (e.vocabulary.defect_types, e.anomalous, e.segmented, int(e.type_mask.max())) for e in made
    ) == sorted(
        [
            (board.defect_types, False, True, 0),
            (board.defect_types, True, True, 1),
            (plate.defect_types, False, True, 0),
            (plate.defect_types, True, True, 1),
            (plate.defect_types, True, False, 0),  # dent 1 has no mask
            (plate.defect_types, True, True, 2),
        ]
    )
    drawn = next(e for e in made if e.type_mask.max() == 2)
    assert drawn.pixels.shape == (SIDE, SIDE, 3)
    assert (drawn.type_mask[:16, :16] == 2).all()
    assert (drawn.type_mask > 0).sum() == 16 * 16


def test_the_part_may_be_called_by_its_class(folder: Path) -> None:
    examples = DatasetExamples([open_dataset(folder)], SIDE, object_word="class", classes=["board"])
    assert {examples[i].vocabulary.object_word for i in range(len(examples))} == {"board"}
    assert len(examples) == 2


def test_damaged_files_are_named(folder: Path) -> None:
    (folder / "plate/test/dent/0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    picture(folder / "plate/ground_truth/scratch/0_mask.png", np.full((64, 16), 255, np.uint8))
    examples = DatasetExamples([open_dataset(folder)], SIDE)
    reasons = []
    for i in range(len(examples)):
        try:
            examples[i]
        except UnreadableExampleError as error:
            reasons.append(str(error))
    assert len(reasons) == 2
    assert "dent/0.png" in reasons[0]
    assert "scratch/0.png" in reasons[1]
    assert "aspect" in reasons[1]


def test_the_fingerprint_changes_with_any_file_and_word(folder: Path) -> None:
    def fingerprint(**changes: object) -> str:
        return DatasetExamples([open_dataset(folder)], SIDE, **changes).fingerprint  # type: ignore[arg-type]

    before = fingerprint()
    assert fingerprint() == before
    assert fingerprint(object_word="class") != before
    assert fingerprint(classes=["plate"]) != before
    picture(folder / "plate/ground_truth/scratch/0_mask.png", np.full((64, 64), 255, np.uint8))
    with_mask = fingerprint()
    assert with_mask != before
    picture(folder / "board/test/good/0.png", grey(3))
    assert fingerprint() != with_mask


def test_nothing_to_learn_from_is_said_before_hours_are_spent(folder: Path) -> None:
    dataset = open_dataset(folder)
    with pytest.raises(BadInputError, match="got belt: choose from board, plate"):
        DatasetExamples([dataset], SIDE, classes=["belt"])
    (folder / "board/test/hole/0.png").unlink()
    with pytest.raises(BadInputError, match="images of defects to learn from"):
        DatasetExamples([open_dataset(folder)], SIDE, classes=["board"])


def test_good_training_images_are_there_to_paint_on(folder: Path) -> None:
    dataset = open_dataset(folder)
    assert {path.relative_to(folder).as_posix() for path in normal_images([dataset])} == {
        "board/train/good/0.png",
        "plate/train/good/0.png",
    }
    assert len(normal_images([dataset], ["board"])) == 1


def test_a_data_set_of_good_parts_alone_is_told_from_the_words_of_the_others(tmp_path: Path, folder: Path) -> None:
    """Without a word for a defect there is nothing to tell its images from, and the loss would be no number."""
    picture(tmp_path / "clean" / "cup" / "test" / "good" / "0.png", grey(9))
    clean = open_dataset(tmp_path / "clean")
    examples = DatasetExamples([clean, open_dataset(folder / "plate")], SIDE)
    assert examples[0].vocabulary == Vocabulary(("dent", "scratch"))
