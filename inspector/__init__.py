"""Streaming visual inspection: which defect, and where, from text prompts."""

import os

# Torch's OpenMP threads wait for each other by spinning, unless told otherwise before torch is loaded. Where another
# process wants the cores as well (Kafka, Redis, a second inspector) the spinning starves it and us: measured on two
# busy cores, ViT of 5.6 M at 256 px: 2.0 -> 5.2 frames/s and 200 -> 67 ms of CPU a frame.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
