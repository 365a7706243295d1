"""Where ``inspector train`` may write, asked before seconds are spent on loading torch, and hours on training."""

from __future__ import annotations

from pathlib import Path

from inspector.domain.errors import BadInputError


def work_folder(out: Path) -> Path:
    """Return the folder of the run beside its weights."""
    return out.with_name(f"{out.name}.training")


def check(out: Path, *, restart: bool) -> None:
    """See that weights can be written to ``out`` without losing others; nothing is made or changed.

    A file that exists is taken only with ``restart``, or where a run that would replace it was stopped after a
    checkpoint.

    Raises:
        BadInputError: it is a folder, it stands in none, or it exists.
    """
    if out.is_dir():
        raise BadInputError("a file to write the weights to", f"{out}, a folder", "name a file in it")
    if not out.parent.is_dir():
        what = "no folder" if out.parent.exists() else "which does not exist"
        raise BadInputError("a folder to write the weights into", f"{out.parent}, {what}", "make it, or name another")
    if out.exists() and not restart and not (work_folder(out) / "checkpoint.safetensors").exists():
        raise BadInputError("a new file", f"{out}, which exists", "choose another name, or add --restart")
