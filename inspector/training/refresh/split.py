"""Which frames are held out: never trained on, so that what is measured on them is honest."""

from __future__ import annotations

import hashlib

# No settings, and the same for ever: with other shares or another word in the hash, frames that the weights in use
# were tuned on would come among those that new weights are judged by.
_OF_NORMALS = 0.5  # there are plenty, and a rate of false alarms takes many to be shown
_OF_SPOKEN_OF = 0.25  # there are few, and what people say is what is to be learnt
_WORD = b"held out\n"
_BYTES = 8


def held_out(image_sha256: str, *, spoken_of: bool) -> bool:
    """Tell whether a frame is kept for judging, by the SHA-256 (hex) of its encoded image.

    Of the image and not of the frame's id: a picture that was sent twice stays on one side. A frame that was held out
    may be learnt from once people have spoken of it, and judges no more; one that was learnt from never judges.
    """
    digest = hashlib.sha256(_WORD + bytes.fromhex(image_sha256)).digest()
    share = _OF_SPOKEN_OF if spoken_of else _OF_NORMALS
    return int.from_bytes(digest[:_BYTES], "big") < int(share * 256**_BYTES)
