"""The frames by which a candidate is judged: held-out ones, corrected ones, and painted defects on good ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from inspector.domain.errors import BadInputError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.product import Vocabulary
from inspector.rendering.synthetic import undrawable
from inspector.training.examples import UNKNOWN_TYPE, ExampleSource, TrainingExample, UnreadableExampleError
from inspector.training.refresh.companions import as_frame
from inspector.training.refresh.core_scenes import CoreScenes
from inspector.training.refresh.inputs import Inputs, KnownFrame
from inspector.training.synthetic_examples import SyntheticExamples
from inspector.vision.decode import DecodeLimits
from inspector.vision.opencv import cv2

CORE_CAMERA = "core scenes"
"""Stands for a camera where rendered scenes are judged; no camera's id, as it has a blank in it."""

# How often a normal frame is painted on at most; some types cannot be seen on some parts, however often.
_MOST_TURNS = 8
# Nobody captured what was rendered.
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class JudgedFrame:
    """A frame and its truth: ``defect_type`` None on an anomalous one is a type that nobody knows.

    ``persons`` said so; without any it belongs to the frozen set. ``confirmed``: they said that the service was right.
    ``in_doubt``: see ``KnownFrame``. ``trained_on``: the candidate has seen it.
    """

    frame: Frame = field(repr=False)
    anomalous: bool
    defect_type: str | None
    persons: tuple[str, ...] = ()
    trained_on: bool = False
    confirmed: bool = False
    in_doubt: bool = False


def known(inputs: Inputs, folder: Path) -> Iterator[JudgedFrame]:
    """Yield held-out frames, and those that people spoke of on either side; an image that is gone is left out."""
    for frame in inputs.frames:
        if frame.held_out or frame.persons:
            try:
                image = (folder / frame.image_sha256).read_bytes()
            except OSError:
                continue
            yield JudgedFrame(
                as_frame(frame, image),
                frame.anomalous,
                frame.defect_type,
                frame.persons,
                trained_on=not frame.held_out,
                confirmed=bool(frame.persons) and not frame.corrected,
                in_doubt=frame.in_doubt,
            )


def painted(
    normals: Mapping[str, Sequence[KnownFrame]],
    inputs: Inputs,
    folder: Path,
    sides_px: Mapping[str, int],
    limits: DecodeLimits,
    least: int = 0,
) -> Iterator[JudgedFrame]:
    """Yield defects painted on held-out normal frames, one for each; ``sides_px``: at what side, by camera.

    More are painted on the same frames until there are ``least`` of each camera and of each type that can be drawn: of
    fewer nobody could say whether they are judged worse. They do not change while the frame is there: each is drawn by
    a seed of its own.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for turn in range(_MOST_TURNS):
        for camera_id, frames in normals.items():
            for frame in frames:
                words = inputs.vocabulary(frame.product)
                if turn:
                    drawable = set(words.defect_types) - set(undrawable(words.defect_types))
                    rare = min(drawable, key=lambda word: (seen["type", word], word), default="")
                    if rare and seen["type", rare] < least:
                        words = Vocabulary((rare,), words.object_word)
                    elif seen["camera", camera_id] >= least:
                        break
                judged = _painted_on(frame, turn, words, folder, sides_px[camera_id], limits)
                if judged is not None:
                    seen["camera", camera_id] += 1
                    seen["type", judged.defect_type or ""] += 1
                    yield judged


def _painted_on(
    frame: KnownFrame, turn: int, words: Vocabulary, folder: Path, side_px: int, limits: DecodeLimits
) -> JudgedFrame | None:
    """Return a frame with painted defects; None where nothing that is painted can be seen on it."""
    try:
        made = SyntheticExamples(
            [folder / frame.image_sha256],
            words.defect_types,
            1,
            int(frame.image_sha256[:8], 16) + turn,
            side_px,
            words.object_word,
            defective=1.0,
            limits=limits,
        )
        example = made[0]
    except (BadInputError, UnreadableExampleError, RuntimeError):
        return None
    frame_id = f"painted-{frame.frame_id}" if turn == 0 else f"painted-{turn}-{frame.frame_id}"
    return _rendered(frame_id, frame.camera_id, frame.product, example, words)


def core(scenes: ExampleSource, words: Vocabulary) -> Iterator[JudgedFrame]:
    """Yield the defective ones of rendered scenes; the good ones are what their threshold is made of."""
    for index in range(len(scenes)):
        example = scenes[index]
        if example.anomalous:
            yield _rendered(f"core-{index}", CORE_CAMERA, "default", example, words)


def core_normals(scenes: CoreScenes) -> Iterator[Frame]:
    """Yield the good ones of rendered scenes."""
    for index in range(1, len(scenes), 2):
        yield _encoded(f"core-{index}", CORE_CAMERA, "default", scenes[index])


def _rendered(frame_id: str, camera_id: str, product: str, example: TrainingExample, words: Vocabulary) -> JudgedFrame:
    """Return a rendered frame; its type is the one that covers most of it."""
    labels, pixels = np.unique(example.type_mask[example.type_mask > 0], return_counts=True)
    label = int(labels[pixels.argmax()])
    defect_type = None if label == UNKNOWN_TYPE else words.defect_types[label - 1]
    return JudgedFrame(_encoded(frame_id, camera_id, product, example), True, defect_type)


def _encoded(frame_id: str, camera_id: str, product: str, example: TrainingExample) -> Frame:
    bgr = cv2.cvtColor(example.pixels, cv2.COLOR_RGB2BGR)
    encoded, image = cv2.imencode(".png", bgr)
    if not encoded:
        raise RuntimeError("a rendered picture could not be encoded")
    meta = FrameMeta(frame_id, camera_id, "", product, _NEVER, "image/png")
    return Frame(meta, FrameSource("rendered", 0, 0), image.tobytes())
