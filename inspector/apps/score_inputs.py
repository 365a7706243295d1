"""The images that ``inspector score`` is given: files and folders, each image once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inspector.adapters.cameras.image import utc_now
from inspector.domain.errors import BadInputError, FrameRejectedError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.pipeline.engine_ports import DecodedFrame
from inspector.vision.engine import InspectionEngine
from inspector.vision.image_file import list_images, load_image, printable

# Frames of a file have no camera; the engine looks banks and settings up under this id.
CAMERA_ID = "files"
PRODUCT = "default"
GROUND_TRUTH = "ground_truth"


@dataclass(frozen=True, slots=True)
class InputFile:
    """One image: where it is, and its name relative to the folder that was given (untrusted, as it is on disk)."""

    path: Path
    name: Path

    @property
    def shown(self) -> str:
        """The path in printable text."""
        return printable(self.path)


class UnreadableImageError(Exception):
    """An image that cannot be scored; says why."""


def find_inputs(paths: Sequence[str], leave_out: Path | None) -> list[InputFile]:
    """Return the images named by ``paths``, in the order given, folders searched recursively.

    ``leave_out``: the output folder, whose overlays of an earlier run are no input. Neither are the masks of a
    ``ground_truth`` folder that stands beside a ``test`` folder, as in MVTec AD's layout.

    Raises:
        BadInputError: a path does not exist, or there is no image at all.
    """
    found: dict[Path, InputFile] = {}
    for text in paths:
        path = Path(text)
        if path.is_dir():
            inputs = [InputFile(file, file.relative_to(path)) for file in list_images(path) if not _is_mask(file, path)]
        elif path.is_file():
            inputs = [InputFile(path, Path(path.name))]
        else:
            raise BadInputError("an image or a folder of images", f"{printable(path)}, not there", "check the path")
        for item in inputs:
            if leave_out is None or not item.path.absolute().is_relative_to(leave_out.absolute()):
                found.setdefault(item.path.absolute(), item)
    if not found:
        shown = ", ".join(printable(Path(text)) for text in paths)
        raise BadInputError("images (JPEG, PNG, BMP, TIFF or WebP)", f"none in {shown}", "check the path")
    return list(found.values())


def _is_mask(file: Path, below: Path) -> bool:
    above = [folder for folder in file.parents if folder != below and folder.is_relative_to(below)]
    return any(folder.name == GROUND_TRUTH and (folder.parent / "test").is_dir() for folder in above)


def decode_file(engine: InspectionEngine, item: InputFile) -> DecodedFrame:
    """Read and decode one image.

    Raises:
        UnreadableImageError: it cannot be read, or is no acceptable image.
    """
    try:
        image, content_type = load_image(item.path)
        meta = FrameMeta(item.shown, CAMERA_ID, "", PRODUCT, utc_now(), content_type)
        return engine.decode(Frame(meta, FrameSource("files", 0, 0), image))
    except OSError as error:
        raise UnreadableImageError(error.strerror or type(error).__name__) from error
    except (ValueError, FrameRejectedError) as error:
        raise UnreadableImageError(str(error)) from error
