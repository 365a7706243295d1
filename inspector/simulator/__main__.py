"""Write a contact sheet of a virtual line: ``python -m inspector.simulator plate sheet.png [seed] [defect rate]``."""

from __future__ import annotations

import sys

from inspector.simulator.contact_sheet import contact_sheet
from inspector.simulator.line import line
from inspector.vision.opencv import cv2

name, path, *rest = sys.argv[1:]
seed, rate = int(rest[0]) if rest else 0, float(rest[1]) if len(rest) > 1 else 0.5
if not cv2.imwrite(path, contact_sheet(line(name, seed, rate))):
    sys.exit(f"cannot write {path}")
