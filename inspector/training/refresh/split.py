"""Which frames are held out: never trained on, so that what is measured on them is honest."""

from __future__ import annotations

import hashlib

# No setting, and the same for ever: with another share or another word in the hash, frames that the weights in use
# were tuned on would come among those that new weights are judged by.
_HELD_OUT = 0.25
_WORD = b"held out\n"
_BYTES = 8


def held_out(image_sha256: str) -> bool:
    """Tell whether a frame is kept for judging, by the SHA-256 (hex) of its encoded image.

    Of the image and not of the frame's id: a picture that was sent twice stays on one side.
    """
    digest = hashlib.sha256(_WORD + bytes.fromhex(image_sha256)).digest()
    return int.from_bytes(digest[:_BYTES], "big") < int(_HELD_OUT * 256**_BYTES)
