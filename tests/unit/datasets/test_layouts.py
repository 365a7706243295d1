from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import miniatures
import pytest
from local_services import PHOTOGRAPHS

from inspector.datasets.opening import layouts, open_dataset
from inspector.datasets.sample import UNKNOWN, Dataset, Sample
from inspector.domain.errors import BadInputError


def split_and_kind(dataset: Dataset) -> Counter[tuple[str, bool]]:
    return Counter((sample.split, sample.anomalous) for sample in dataset.samples)


def named(dataset: Dataset, name: str) -> Sample:
    return next(sample for sample in dataset.samples if sample.name == name)


def test_mvtec_ad_is_known_by_its_classes_and_types(tmp_path: Path) -> None:
    dataset = open_dataset(miniatures.mvtec_ad(tmp_path))
    assert (dataset.name, dataset.layout, dataset.licence) == ("MVTec AD", "mvtec-ad", "CC BY-NC-SA 4.0")
    assert dataset.classes == ("screw", "toothbrush", "wood")
    assert split_and_kind(dataset) == {("train", False): 9, ("test", False): 9, ("test", True): 12}
    assert dataset.vocabulary("screw") == ("scratch", "damaged thread")
    assert dataset.stray_masks == ()
    scratched = named(dataset, "screw/test/scratch_neck/001.png")
    assert scratched.mask == tmp_path / "screw/ground_truth/scratch_neck/001_mask.png"


def test_a_type_that_says_nothing_is_in_the_vocabulary_only_where_there_is_no_other(tmp_path: Path) -> None:
    dataset = open_dataset(miniatures.mvtec_ad(tmp_path))
    assert dataset.vocabulary("wood") == ("hole",)
    assert dataset.vocabulary("toothbrush") == (UNKNOWN,)
    assert UNKNOWN not in dataset.vocabulary()
    combined = named(dataset, "wood/test/combined/000.png")
    assert (combined.defect_types, combined.anomalous, combined.has_pixel_truth) == ((UNKNOWN,), True, True)


def test_a_folder_of_anybodys_that_is_called_screw_is_not_mvtec_ad(tmp_path: Path) -> None:
    miniatures.mvtec_class(tmp_path / "screw", ["scratch_head", "lunar dust"])
    dataset = open_dataset(tmp_path / "screw")
    assert (dataset.layout, dataset.licence, dataset.name) == ("mvtec-layout", None, "screw")
    assert dataset.vocabulary() == ("lunar dust", "scratch")


@pytest.mark.parametrize("good", ["good", "Good", "OK", "normal"])
def test_any_folder_in_mvtecs_layout_works_whatever_good_is_called(tmp_path: Path, good: str) -> None:
    dataset = open_dataset(miniatures.mvtec_class(tmp_path / "lid", ["dent"], good))
    assert (dataset.classes, dataset.vocabulary()) == (("lid",), ("dent",))
    assert split_and_kind(dataset) == {("train", False): 3, ("test", False): 3, ("test", True): 2}


def test_images_that_lie_in_train_itself_are_good(tmp_path: Path) -> None:
    miniatures.mvtec_class(tmp_path, ["dent"])
    for image in (tmp_path / "train" / "good").glob("*.png"):
        image.rename(tmp_path / "train" / image.name)
    assert split_and_kind(open_dataset(tmp_path))["train", False] == 3


def test_a_mask_of_no_image_is_told_and_a_jpeg_mask_has_no_quite_black_black(tmp_path: Path) -> None:
    miniatures.mvtec_class(tmp_path, ["dent"])
    stray = miniatures.drawing(tmp_path / "ground_truth" / "dent" / "777_mask.png")
    drawn = tmp_path / "ground_truth" / "dent" / "000_mask.png"
    drawn.rename(drawn.with_suffix(".jpg"))
    dataset = open_dataset(tmp_path)
    assert dataset.stray_masks == (stray,)
    assert [sample.mask_above for sample in dataset.samples if sample.anomalous] == [127, 0]


def test_mpdd_has_a_type_that_is_two(tmp_path: Path) -> None:
    dataset = open_dataset(miniatures.mpdd(tmp_path))
    assert (dataset.name, dataset.layout, dataset.licence) == ("MPDD", "mpdd", "CC BY-NC-SA 4.0")
    bent = named(dataset, "bracket_brown/test/bend_and_parts_mismatch/000.png")
    assert bent.defect_types == ("bent", "wrong part")
    assert dataset.vocabulary("metal_plate") == ("rust", "scratch")
    assert dataset.vocabulary("tubes") == (UNKNOWN,)


@pytest.mark.parametrize(
    ("mask", "layout", "name"), [("{}_mask.png", "mad-sim", "MAD-Sim"), ("{}.png", "mad-real", "MAD-Real")]
)
def test_mad_is_told_apart_by_the_names_of_its_masks(tmp_path: Path, mask: str, layout: str, name: str) -> None:
    dataset = open_dataset(miniatures.mad(tmp_path, mask))
    assert (dataset.layout, dataset.name) == (layout, name)
    assert dataset.classes == ("01Gorilla", "02Unicorn")
    assert dataset.vocabulary() == ("burr", "missing", "stain")
    assert all(sample.mask is not None for sample in dataset.samples if sample.anomalous)


def test_visa_takes_its_splits_types_and_grey_values_from_its_lists(tmp_path: Path) -> None:
    dataset = open_dataset(miniatures.visa(tmp_path))
    assert (dataset.name, dataset.layout, dataset.licence) == ("VisA", "visa", "CC BY 4.0")
    assert split_and_kind(dataset) == {("train", False): 4, ("test", False): 2, ("test", True): 4}
    two = named(dataset, "pcb1/Data/Images/Anomaly/001.JPG")
    assert two.defect_types == ("melt", "scratch")
    assert two.mask == tmp_path / "pcb1/Data/Masks/Anomaly/001.png"
    assert two.mask_types == ((1, "bent"), (2, "melt"), (3, "scratch"), (4, "missing"))
    assert named(dataset, "cashew/Data/Images/Anomaly/001.JPG").defect_types == ("hole", UNKNOWN)
    assert dataset.vocabulary() == ("burnt", "hole", "bent", "melt", "scratch")


def test_classes_that_visa_has_not_are_not_called_visa(tmp_path: Path) -> None:
    root = miniatures.visa(tmp_path / "ours")
    (root / "cashew").rename(root / "gasket")
    dataset = open_dataset(root)
    assert (dataset.name, dataset.layout, dataset.licence) == ("ours", "visa", None)


def test_one_class_of_visa_finds_the_list_beside_itself(tmp_path: Path) -> None:
    dataset = open_dataset(miniatures.visa(tmp_path) / "pcb1")
    assert dataset.classes == ("pcb1",)
    assert split_and_kind(dataset) == {("train", False): 2, ("test", False): 1, ("test", True): 2}


def test_visa_without_its_lists_is_all_for_testing_and_of_unknown_type(tmp_path: Path) -> None:
    miniatures.visa(tmp_path)
    (tmp_path / "split_csv" / "1cls.csv").unlink()
    (tmp_path / "pcb1" / "image_anno.csv").unlink()
    dataset = open_dataset(tmp_path)
    assert split_and_kind(dataset) == {("test", False): 6, ("test", True): 4}
    assert dataset.vocabulary("pcb1") == (UNKNOWN,)


@pytest.mark.parametrize("row", ["pcb1,test,normal,pcb1/../../secret.JPG,", "pcb1,validation,normal,pcb1/a.JPG,", "x"])
def test_a_visa_list_that_leads_out_or_has_another_form_is_refused(tmp_path: Path, row: str) -> None:
    miniatures.visa(tmp_path)
    with (tmp_path / "split_csv" / "1cls.csv").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(BadInputError, match=r"1cls\.csv"):
        open_dataset(tmp_path)


def test_real_iad_counts_views_that_hide_the_defect_as_normal(tmp_path: Path) -> None:
    dataset = open_dataset(miniatures.real_iad(tmp_path))
    assert (dataset.name, dataset.layout) == ("Real-IAD", "real-iad")
    assert split_and_kind(dataset) == {("train", False): 2, ("test", False): 2, ("test", True): 1}
    seen = next(sample for sample in dataset.samples if sample.anomalous)
    assert (seen.defect_types, seen.mask_above) == (("scratch",), 127)
    assert seen.mask is not None
    assert seen.mask.name == "audiojack__0007_NG_HS_C1_20231022.png"


def test_real_iad_without_its_list_is_all_for_testing(tmp_path: Path) -> None:
    dataset = open_dataset(miniatures.real_iad(tmp_path, listed=False) / "audiojack")
    assert split_and_kind(dataset) == {("test", False): 4, ("test", True): 1}
    assert dataset.stray_masks == ()


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[]",
        '{"train": 3}',
        '{"test": [3]}',
        '{"test": [{"anomaly_class": "OK", "image_path": 3}]}',
        '{"test": [{"anomaly_class": "OK", "image_path": "/etc/passwd"}]}',
        '{"test": [{"anomaly_class": "OK", "image_path": "../../x.jpg"}]}',
    ],
)
def test_a_real_iad_list_of_another_form_is_refused(tmp_path: Path, content: str) -> None:
    root = miniatures.real_iad(tmp_path)
    (tmp_path / "realiad_jsons" / "realiad_jsons" / "audiojack.json").write_text(content)
    with pytest.raises(BadInputError, match=r"audiojack\.json"):
        open_dataset(root)


@pytest.mark.parametrize(("good", "bad"), [("normal", "defect"), ("good", "bad"), ("OK", "NG")])
def test_two_plain_folders_are_a_data_set_and_subfolders_name_types(tmp_path: Path, good: str, bad: str) -> None:
    dataset = open_dataset(miniatures.normal_defect(tmp_path, good, bad))
    assert dataset.layout == "normal-defect"
    assert split_and_kind(dataset) == {("test", False): 2, ("test", True): 4}
    assert Counter(sample.defect_types for sample in dataset.samples if sample.anomalous) == {
        (UNKNOWN,): 2,
        ("scratch",): 2,
    }


def test_names_are_printable_and_unique_even_where_two_print_alike(tmp_path: Path) -> None:
    for name in (b"\x1b[2J.png", b"\\x1b[2J.png", b"\xff.png"):
        os.rename(
            miniatures.picture(tmp_path / "normal" / "x.png"), os.path.join(os.fsencode(tmp_path / "normal"), name)
        )
    names = [sample.name for sample in open_dataset(tmp_path).samples]
    assert len(set(names)) == 3
    assert all(name.isprintable() for name in names)


def test_classes_that_print_alike_are_not_made_one(tmp_path: Path) -> None:
    for name in ("lid\t", "lid\\t"):
        miniatures.mvtec_class(tmp_path / name, ["dent"])
    with pytest.raises(BadInputError, match="told apart") as error:
        open_dataset(tmp_path)
    assert str(error.value).isprintable()


def test_odd_entries_are_no_images(tmp_path: Path) -> None:
    miniatures.mvtec_class(tmp_path, ["dent"])
    os.mkfifo(tmp_path / "test" / "good" / "pipe.png")
    (tmp_path / "test" / "good" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "test" / "good" / "folder.png").mkdir()
    assert split_and_kind(open_dataset(tmp_path))["test", False] == 3


def test_a_class_that_is_a_link_to_a_folder_is_read(tmp_path: Path) -> None:
    miniatures.mvtec_class(tmp_path / "far" / "lid", ["dent"])
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "lid").symlink_to(tmp_path / "far" / "lid")
    dataset = open_dataset(tmp_path / "near")
    assert [sample.name for sample in dataset.samples if sample.anomalous] == [
        f"lid/test/dent/00{n}.png" for n in (0, 1)
    ]


def test_what_is_no_data_set_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    miniatures.picture(tmp_path / "holiday.png")
    with pytest.raises(BadInputError, match=r"ground_truth/TYPE; normal/ and defect/"):
        open_dataset(tmp_path)
    with pytest.raises(BadInputError, match="which is none"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "test" / "good").mkdir(parents=True)
    with pytest.raises(BadInputError, match="got none in"):
        open_dataset(tmp_path)


def test_a_layout_can_be_named_and_has_to_fit(tmp_path: Path) -> None:
    miniatures.mvtec_ad(tmp_path)
    assert open_dataset(tmp_path, "mvtec-layout").licence is None
    with pytest.raises(BadInputError, match="without"):
        open_dataset(tmp_path, "visa")
    with pytest.raises(BadInputError, match="use one of real-iad, visa, mvtec-ad"):
        open_dataset(tmp_path, "coco")


def test_every_published_set_of_the_design_has_a_layout() -> None:
    assert {"mvtec-ad", "visa", "mpdd", "mad-sim", "mad-real", "real-iad", "mvtec-layout", "normal-defect"} == set(
        layouts()
    )


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "train", "good", "types"),
    [
        ("ball_screw", 80, 60, {("pit",): 80}),
        ("cookie", 31, 14, {("crack",): 32}),
        (
            "printed_board",
            100,
            60,
            {(t,): 30 for t in ("spurious copper", "mouse bite", "open", "pin hole", "short", "spur")},
        ),
    ],
)
def test_real_folders_are_read_whole(name: str, train: int, good: int, types: dict[tuple[str, ...], int]) -> None:
    dataset = open_dataset(PHOTOGRAPHS / name)
    counts = split_and_kind(dataset)
    assert (counts["train", False], counts["test", False], counts["train", True]) == (train, good, 0)
    assert Counter(sample.defect_types for sample in dataset.samples if sample.anomalous) == types
    assert all(sample.has_pixel_truth for sample in dataset.samples)
    assert dataset.stray_masks == ()
    assert json.loads(json.dumps(dataset.vocabulary()))  # plain words
