"""Write a sheet of training pairs: ``python -m inspector.rendering.scenes SHEET.png [PHOTOGRAPHS] [SEED]``."""

from __future__ import annotations

import sys
from pathlib import Path

from inspector.domain.errors import BadInputError
from inspector.rendering.scenes.photographs import Photographs
from inspector.rendering.scenes.sheet import sheet
from inspector.vision.opencv import cv2

path, *rest = sys.argv[1:]
try:
    photographs = Photographs.load(Path(rest[0])) if rest and rest[0] else None
except BadInputError as error:
    sys.exit(str(error))
if not cv2.imwrite(path, sheet(photographs, int(rest[1]) if len(rest) > 1 else 0)):
    sys.exit(f"cannot write {path}")
