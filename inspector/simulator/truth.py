"""The truth about simulated frames, written beside the line and never into it."""

from __future__ import annotations

import json
from pathlib import Path

from inspector.domain.errors import BadInputError
from inspector.simulator.line import SimulatedFrame
from inspector.vision.opencv import cv2


class TruthWriter:
    """Writes ``truth.jsonl`` (one frame a line) and ``masks/FRAME_ID.png`` (defective frames only) into a folder.

    A line holds ``frame_id, camera_id, index, part_id, mask`` (path or null) and ``defects``, each with
    ``defect_type, box`` ([x, y, w, h] in pixels) and ``area_px``. An existing file is added to.
    """

    def __init__(self, folder: Path, camera_id: str) -> None:
        """Make the folder.

        Raises:
            BadInputError: it cannot be made or written to.
        """
        self._folder, self._camera_id = folder, camera_id
        try:
            (folder / "masks").mkdir(parents=True, exist_ok=True)
            self._file = (folder / "truth.jsonl").open("a", encoding="utf-8")
        except OSError as error:
            raise BadInputError(
                "a folder to write the truth to", f"{folder}: {error.strerror}", "choose another folder"
            ) from error

    def write(self, frame_id: str, frame: SimulatedFrame) -> None:
        """Write the truth of one frame; it is on disk (not yet synced) when this returns.

        Raises:
            OSError: the disk is full or gone.
        """
        mask = None
        if frame.truth.defects:
            mask = f"masks/{frame_id}.png"
            done, png = cv2.imencode(".png", frame.truth.mask)
            if not done:
                raise RuntimeError("OpenCV could not encode a mask as PNG")
            (self._folder / mask).write_bytes(png.tobytes())
        entry = {
            "frame_id": frame_id,
            "camera_id": self._camera_id,
            "index": frame.index,
            "part_id": frame.part_id,
            "mask": mask,
            "defects": [
                {"defect_type": d.defect_type, "box": list(d.box), "area_px": d.area_px} for d in frame.truth.defects
            ],
        }
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
