"""Miniature copies of the published layouts, with the quirks of the real ones in them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = (24, 16)  # width, height
_seed = np.random.default_rng(0)


def picture(path: Path, size: tuple[int, int] = SIZE) -> Path:
    """Write a picture that no other is equal to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_seed.integers(0, 255, (size[1], size[0], 3), np.uint8)).save(path)
    return path


def drawing(path: Path, values: Sequence[int] = (255,), size: tuple[int, int] = SIZE) -> Path:
    """Write a mask: the left half of the image, in one strip for each of ``values``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(strips(values, size)).save(path)
    return path


def strips(values: Sequence[int], size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    grey = np.zeros((size[1], size[0]), np.uint8)
    for value, rows in zip(values, np.array_split(np.arange(size[1]), len(values)), strict=True):
        grey[rows, : size[0] // 2] = value
    return grey


def clutter(folder: Path) -> None:
    """Leave what file managers and authors leave beside the images."""
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "license.txt", "readme.txt", "._000.png"):
        (folder / name).write_bytes(b"\0\1 no picture")


def mvtec_class(folder: Path, types: Sequence[str], good: str = "good") -> Path:
    for number in range(3):
        picture(folder / "train" / good / f"{number:03}.png")
        picture(folder / "test" / good / f"{number:03}.png")
    for kind in types:
        for number in range(2):  # numbers begin anew in each folder
            picture(folder / "test" / kind / f"{number:03}.png")
            drawing(folder / "ground_truth" / kind / f"{number:03}_mask.png")
    for place in (folder, folder / "test", folder / "test" / good):
        clutter(place)
    return folder


def mvtec_ad(root: Path) -> Path:
    mvtec_class(root / "screw", ["scratch_head", "scratch_neck", "thread_top"])
    mvtec_class(root / "wood", ["combined", "hole"])
    mvtec_class(root / "toothbrush", ["defective"])
    clutter(root)
    return root


def mpdd(root: Path) -> Path:
    mvtec_class(root / "bracket_brown", ["bend_and_parts_mismatch", "parts_mismatch"])
    mvtec_class(root / "metal_plate", ["major_rust", "scratches", "total_rust"])
    mvtec_class(root / "tubes", ["anomalous"])
    return root


def mad(root: Path, mask: str = "{}_mask.png") -> Path:
    for name in ("01Gorilla", "02Unicorn"):
        for number in (0, 1, 10):
            picture(root / name / "train" / "good" / f"{number}.png")
        picture(root / name / "test" / "good" / "0.png")
        for kind in ("Burrs", "Missing", "Stains"):
            picture(root / name / "test" / kind / "0.png")
            drawing(root / name / "ground_truth" / kind / mask.format(0))
        (root / name / "transforms.json").write_text("{}")
    return root


def visa(root: Path) -> Path:
    """Two classes; `label` holds several words, masks hold small values, images end in .JPG."""
    listed = ["object,split,label,image,mask"]
    for name, labels, values in (
        ("pcb1", ["bent", "melt,scratch"], [[1], [2, 3]]),
        ("cashew", ["burnt", "small holes,other"], [[1], [5, 9]]),
    ):
        annotated = ["image,label,mask"]
        for number in range(3):
            image = f"{name}/Data/Images/Normal/{number:04}.JPG"
            _jpeg(root / image)
            annotated.append(f"{image},normal,")
            listed.append(f"{name},{'test' if number == 2 else 'train'},normal,{image},")
        for number, (label, grey) in enumerate(zip(labels, values, strict=True)):
            image = f"{name}/Data/Images/Anomaly/{number:03}.JPG"
            mask = f"{name}/Data/Masks/Anomaly/{number:03}.png"
            _jpeg(root / image)
            drawing(root / mask, grey)
            annotated.append(f'{image},"{label}",{mask}')
            listed.append(f"{name},test,anomaly,{image},{mask}")
        (root / name / "image_anno.csv").write_text("\n".join(annotated) + "\n")
        clutter(root / name / "Data" / "Images" / "Anomaly")
    (root / "split_csv").mkdir()
    (root / "split_csv" / "1cls.csv").write_text("\n".join(listed) + "\n")
    (root / "LICENSE-DATASET").touch()
    return root


def real_iad(root: Path, *, listed: bool = True) -> Path:
    """One class: three good parts, one with a scratch seen in view C1 only; names with one and with two underscores."""
    folder = root / "realiad_1024" / "audiojack"
    entries: dict[str, list[Mapping[str, object]]] = {"train": [], "test": []}
    for number, split in ((1, "train"), (2, "train"), (3, "test")):
        path = f"OK/S{number:04}/audiojack_{number:04}_OK_C1_20231021.jpg"
        _jpeg(folder / path)
        entries[split].append(_entry("OK", path, None))
    for view in ("C1", "C2"):
        path = f"NG/HS/S0007/audiojack__0007_NG_HS_{view}_20231022.jpg"
        _jpeg(folder / path)
        mask = path.replace(".jpg", ".png") if view == "C1" else None
        entries["test"].append(_entry("HS" if mask else "OK", path, mask))
    drawing(folder / "NG/HS/S0007/audiojack__0007_NG_HS_C1_20231022.png", [255, 100])
    if listed:
        lists = root / "realiad_jsons" / "realiad_jsons"
        lists.mkdir(parents=True)
        content = {"meta": {"prefix": "audiojack/", "normal_class": "OK"}, **entries}
        (lists / "audiojack.json").write_text(json.dumps(content))
    return root / "realiad_1024"


def _entry(kind: str, image: str, mask: str | None) -> Mapping[str, object]:
    return {"category": "audiojack", "anomaly_class": kind, "image_path": image, "mask_path": mask}


def normal_defect(root: Path, good: str, bad: str) -> Path:
    for number in range(2):
        _jpeg(root / good / f"{number}.jpg")
        _jpeg(root / bad / f"{number}.jpg")
        _jpeg(root / bad / "Scratches" / f"{number}.jpg")
    clutter(root / good)
    return root


def _jpeg(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = _seed.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    with path.open("wb") as file:
        Image.fromarray(pixels).save(file, "JPEG")
