"""Whether the published weights of a model are on this machine, found without a network."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import open_clip
from huggingface_hub import try_to_load_from_cache

from inspector.dapo.model_folder import model_folder
from inspector.dapo.spec import RANDOM, ModelSpec

# As open_clip has them: where it keeps files that it fetched from an address, and what it looks for in a repository.
_CLIP_CACHE = Path("~/.cache/clip")
_WEIGHTS = "open_clip_pytorch_model.bin"
_SAFE_WEIGHTS = "open_clip_model.safetensors"


def download_of(spec: ModelSpec) -> str | None:
    """Return where the weights of ``spec`` would be downloaded from; None where they need not be, or no one knows."""
    if spec.pretrained == RANDOM or model_folder(spec) is not None or Path(spec.pretrained).is_file():
        return None
    published = open_clip.get_pretrained_cfg(spec.name.replace("/", "-"), spec.pretrained)
    repository, _, name = published.get("hf_hub", "").rpartition("/")
    if repository:  # what open_clip prefers to the address
        names = (name or _WEIGHTS, f"{name.removesuffix('.bin')}.safetensors" if name else _SAFE_WEIGHTS)
        here = any(isinstance(try_to_load_from_cache(repository, one), str) for one in names)
        return None if here else f"huggingface.co/{repository}"
    url = published.get("url", "")
    return None if not url or (_CLIP_CACHE.expanduser() / PurePosixPath(url).name).is_file() else str(url)
