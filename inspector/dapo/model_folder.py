"""A model as a folder: what open_clip reads, prompt weights made beside it, checksums. One such folder ships in here.

``open_clip_config.json`` and ``open_clip_model.safetensors`` are open_clip's own ``local-dir:`` layout. Free of torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from inspector.dapo.spec import BUNDLED, LOCAL_FOLDER, ModelSpec
from inspector.domain.errors import BadInputError

CONFIG_FILE = "open_clip_config.json"
MODEL_FILE = "open_clip_model.safetensors"
PROMPTS_FILE = "prompts.safetensors"
SUMS_FILE = "SHA256SUMS"
CARD_FILE = "MODEL_CARD.md"

_MODELS = Path(__file__).parent.parent / "models"
_WEIGHTS_SUFFIXES = (".safetensors", ".bin", ".pth")


def model_folder(spec: ModelSpec) -> Path | None:
    """Return the folder that holds the model of ``spec``, where one does: ``local-dir:PATH``, or the bundled one's."""
    if spec.name.startswith(LOCAL_FOLDER):
        return Path(spec.name.removeprefix(LOCAL_FOLDER))
    return _MODELS / spec.name if spec.pretrained == BUNDLED and spec.name in bundled_models() else None


def bundled_models() -> list[str]:
    """Return the names of the models that ship with the package."""
    return sorted(path.parent.name for path in _MODELS.glob(f"*/{CONFIG_FILE}"))


def package_folder(name: str) -> Path:
    """Return the folder of something in this package that has weights, such as a model."""
    return _MODELS / name


def bundled_prompts(spec: ModelSpec) -> Path | None:
    """Return the prompt weights that lie beside the frozen ones, where ``spec`` asks for what was bundled.

    Raises:
        BadInputError: the file is not the one that was written.
    """
    folder = model_folder(spec) if spec.pretrained == BUNDLED else None
    if folder is None or not (_ships(folder) or (folder / PROMPTS_FILE).is_file()):
        return None
    verify_folder(folder, [PROMPTS_FILE])
    return folder / PROMPTS_FILE


def verify_folder(folder: Path, names: Iterable[str] = (CONFIG_FILE, MODEL_FILE)) -> None:
    """Compare these files with the folder's checksums; a folder of somebody else's may have none.

    Raises:
        BadInputError: a file is missing or not the one that was written.
    """
    sums = _read_sums(folder)
    for name in names if sums else ():
        path = folder / name
        try:
            with path.open("rb") as file:
                found = f"sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            found = error.strerror or type(error).__name__
        if found != f"sha256 {sums.get(name, 'missing')}":
            raise _damaged(f"sha256 {sums.get(name, 'missing')} for {name}", f"{found} in {folder}", folder)


def check_replaceable(folder: Path) -> None:
    """See that a model written to ``folder`` would replace nothing but a model.

    Raises:
        BadInputError: it is a file, or holds other things.
    """
    if not folder.exists():
        return
    known = {CONFIG_FILE, MODEL_FILE, PROMPTS_FILE, SUMS_FILE, CARD_FILE}
    strange = sorted({path.name for path in folder.iterdir()} - known) if folder.is_dir() else [folder.name]
    if strange:
        raise BadInputError("a new folder, or one that holds a model", f"{strange[0]} in {folder}", "choose another")


def read_by_open_clip(folder: Path) -> list[Path]:
    """Return the files that decide what open_clip makes of a folder: not the prompts beside them, nor what is prose."""
    files = [path for path in folder.glob("*") if path.is_file() and path.name != PROMPTS_FILE]
    return sorted(path for path in files if path.name == CONFIG_FILE or path.suffix in _WEIGHTS_SUFFIXES)


def sums_text(digests: Mapping[str, str]) -> str:
    """Return SHA-256 (hex) by file name in the format of ``sha256sum``."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def _read_sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS_FILE
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError as error:
        if _ships(folder):
            raise _damaged(f"checksums in {path}", "none", folder) from error
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(f"checksums in {path}", type(error).__name__, folder) from error
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _damaged(expected: str, came: str, folder: Path) -> BadInputError:
    todo = "reinstall inspector" if _ships(folder) else "copy the folder again"
    return BadInputError(expected, came, f"the file is damaged: {todo}")


def _ships(folder: Path) -> bool:
    return folder.parent == _MODELS
