"""Pictures to pretrain on: surfaces, objects and photographs with rendered defects, each beside a flawless view."""

from inspector.rendering.scenes.pair import Pair, render_pair
from inspector.rendering.scenes.photographs import Photographs

__all__ = ["Pair", "Photographs", "render_pair"]
