"""A sheet of frames with the outlines of what is wrong with them, to see at a glance what a line makes."""

from __future__ import annotations

import numpy as np

from inspector.rendering.surfaces import ByteImage
from inspector.simulator.line import SimulatedFrame, VirtualLine
from inspector.vision.opencv import cv2


def contact_sheet(line: VirtualLine, columns: int = 3, rows: int = 3, width_px: int = 640) -> ByteImage:
    """Return a BGR picture of ``rows`` x ``columns`` frames, the line's first ones in order."""
    tiles = [_tile(line.frame(i), width_px) for i in range(rows * columns)]
    return np.vstack([np.hstack(tiles[r * columns : (r + 1) * columns]) for r in range(rows)])


def _tile(frame: SimulatedFrame, width_px: int) -> ByteImage:
    decoded = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None  # noqa: S101 - we have just encoded it
    pixels: ByteImage = np.asarray(decoded, np.uint8)
    # The outline stands a few pixels off, so that it does not hide what it points at.
    around = cv2.dilate(frame.truth.mask, np.ones((13, 13), np.uint8))
    outlines, _ = cv2.findContours(around, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(pixels, outlines, -1, (60, 60, 255), 2)
    caption = f"{frame.part_id} " + ", ".join(d.defect_type for d in frame.truth.defects)
    cv2.putText(pixels, caption, (16, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (60, 220, 255), 2, cv2.LINE_AA)
    height_px = round(width_px * pixels.shape[0] / pixels.shape[1])
    return np.asarray(cv2.resize(pixels, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)
