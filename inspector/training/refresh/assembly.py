"""The examples of a run: what people said, defects painted on each camera's normal frames, and the core set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inspector.datasets.opening import open_dataset
from inspector.domain.errors import BadInputError
from inspector.training.dataset_examples import DatasetExamples
from inspector.training.examples import ExampleSource, JoinedExamples
from inspector.training.refresh.core_scenes import CoreScenes
from inspector.training.refresh.inputs import Inputs, KnownFrame
from inspector.training.refresh.known_frames import KnownFrameExamples
from inspector.training.synthetic_examples import SyntheticExamples
from inspector.vision.decode import DecodeLimits


@dataclass(frozen=True, slots=True)
class Assembled:
    """All examples, how many there are of what, and what could not be painted on."""

    source: ExampleSource
    counts: Mapping[str, int]
    left_out: tuple[str, ...]


def assemble(
    inputs: Inputs, normals: Mapping[str, Sequence[KnownFrame]], folder: Path, size_px: int, limits: DecodeLimits
) -> Assembled:
    """Return the examples that ``inputs`` stand for; the same again whenever the files in ``folder`` are the same.

    ``normals``: frames of each camera to paint on, none of them held out.

    Raises:
        BadInputError: the core data set cannot be used.
        OSError: it cannot be read.
    """
    known = [(frame, inputs.vocabulary(frame.product)) for frame in inputs.teaching if frame.persons]
    spoken_of = KnownFrameExamples(known, folder, size_px, inputs.recipe.correction_repeats, limits)
    recipe, seed = inputs.recipe, inputs.recipe.options.seed
    parts: dict[str, list[ExampleSource]] = {"feedback": [spoken_of], "synthetic": [], "core": []}
    left_out: list[str] = []
    if recipe.synthetic_per_camera:
        for number, (camera_id, frames) in enumerate(sorted(normals.items())):
            try:
                camera = _painted_on(frames, inputs, folder, seed + number, size_px, limits)
            except BadInputError as error:
                left_out.append(f"camera {camera_id}: nothing to paint on: {error.got}")
            else:
                parts["synthetic"].append(camera)
                left_out += [f"camera {camera_id}: {path.name[:12]}: {reason}" for path, reason in camera.left_out]
    words = inputs.vocabulary("default")
    if recipe.core_scenes:
        parts["core"].append(CoreScenes(recipe.core_scenes, words, size_px, seed, judging=False))
    if recipe.core_dataset:
        parts["core"].append(DatasetExamples([open_dataset(Path(recipe.core_dataset))], size_px, limits=limits))
    counts = {name: sum(len(source) for source in sources) for name, sources in parts.items()}
    return Assembled(JoinedExamples(list(_all(parts))), counts, tuple(left_out))


def _painted_on(
    frames: Sequence[KnownFrame], inputs: Inputs, folder: Path, seed: int, size_px: int, limits: DecodeLimits
) -> SyntheticExamples:
    words = inputs.vocabulary(frames[0].product if frames else "default")
    files = [folder / frame.image_sha256 for frame in frames]
    count = inputs.recipe.synthetic_per_camera
    return SyntheticExamples(files, words.defect_types, count, seed, size_px, words.object_word, limits=limits)


def _all(parts: Mapping[str, Sequence[ExampleSource]]) -> Iterator[ExampleSource]:
    for sources in parts.values():
        yield from sources
