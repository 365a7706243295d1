"""Write a sheet of synthetic defects: ``python -m inspector.rendering FOLDER SHEET.png [seed] [type ...]``."""

from __future__ import annotations

import sys
from pathlib import Path

from inspector.rendering.contact_sheet import contact_sheet
from inspector.rendering.defects import DEFECT_TYPES
from inspector.vision.image_file import list_images
from inspector.vision.opencv import cv2

folder, path, *rest = sys.argv[1:]
seed, types = int(rest[0]) if rest else 0, rest[1:] or DEFECT_TYPES
files = list_images(Path(folder))
if not files:
    sys.exit(f"no images in {folder}")
if not cv2.imwrite(path, contact_sheet(files, types, seed)):
    sys.exit(f"cannot write {path}")
