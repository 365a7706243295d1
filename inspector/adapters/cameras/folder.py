"""A folder of image files, of any layout, as a camera."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from inspector.adapters.cameras.image import CapturedImage, Clock, Report
from inspector.domain.errors import BadInputError
from inspector.vision.image_file import list_images, load_image, printable


class FolderSource:
    """Image files below ``folder`` in sorted order; JPEG and PNG bytes pass as they are, others become PNG.

    Which files those are says ``list_images``; a damaged one reaches the inspector, which rejects it with a reason.
    """

    def __init__(self, folder: Path, clock: Clock, report: Report) -> None:
        """List the folder.

        Raises:
            BadInputError: there is no image in it.
        """
        self._folder, self._clock, self._report = folder, clock, report
        self._closed = threading.Event()
        self._files = list_images(folder)
        if not self._files:
            raise BadInputError(
                "a folder with images (JPEG, PNG, BMP, TIFF or WebP)",
                f"none in {printable(folder)}",
                "check the path; subfolders are searched too",
            )

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[CapturedImage]:
        """Yield each file once; a file that has gone or cannot be converted is reported and passed over."""
        for path in self._files:
            if self._closed.is_set():
                return
            name = printable(path.relative_to(self._folder))
            try:
                image, content_type = load_image(path)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                self._report(f"{name}: left out: {reason}")
                continue
            yield CapturedImage(image, content_type, self._clock(), name)

    def close(self) -> None:
        """End a running iteration."""
        self._closed.set()
