"""Which tone the lines of a camera's artwork have: one frame may mislead, what most of its frames say does not."""

from __future__ import annotations

from collections import Counter, OrderedDict

from inspector.vision.line_artwork import ByteImage, lines_are_light

_MOST_CAMERAS = 10_000  # whoever was silent longest is forgotten first


class LineTones:
    """Counts of what frames said, by camera. Not thread-safe."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, Counter[bool | None]] = OrderedDict()

    def of(self, camera_id: str, pixels: ByteImage) -> bool | None:
        """Return whether the camera's lines are light, after one more frame; None where it shows no line artwork.

        Of printed boards with large pours a frame by itself says the wrong thing three times in ten.

        Args:
            camera_id: where the frame is from.
            pixels: uint8 RGB [S, S, 3].
        """
        said = self._said.setdefault(camera_id, Counter())
        self._said.move_to_end(camera_id)
        if len(self._said) > _MOST_CAMERAS:
            self._said.popitem(last=False)
        found = lines_are_light(pixels)
        said[found] += 1
        if said[None] >= said[True] + said[False]:
            return None
        return found if said[True] == said[False] else said[True] > said[False]

    def forget(self, camera_id: str) -> None:
        """Drop what the frames of a camera said: it may look elsewhere now."""
        self._said.pop(camera_id, None)
