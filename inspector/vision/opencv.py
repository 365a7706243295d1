"""The one place that imports ``cv2``; everything else says ``from inspector.vision.opencv import cv2``.

OpenCV reads ``OPENCV_IO_MAX_IMAGE_PIXELS`` once, while it is loaded, so the limit has to stand in the environment
before the first import. It is a second line of defence only: ``image_header`` refuses large images before OpenCV
sees them. The variable is written, never read, so settings still come from ``inspector.settings`` alone.
"""

from __future__ import annotations

import os

# Above any area camera on the market (151 Mpx) and below what would exhaust a small machine (3 bytes a pixel).
OPENCV_MAX_PIXELS = 160_000_000
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(OPENCV_MAX_PIXELS)

import cv2  # noqa: E402  the environment has to be set first, see above

# Frames are decoded by several threads already; a pool inside each call would only fight them for the same cores.
cv2.setNumThreads(1)

__all__ = ["OPENCV_MAX_PIXELS", "cv2"]
