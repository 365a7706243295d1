"""Where ``train`` and ``pretrain`` may write, asked before seconds go into loading torch, and hours into training."""

from __future__ import annotations

from pathlib import Path

from inspector.dapo.model_folder import check_replaceable
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
    _check_parent(out)
    _check_unused(out, "a new file", restart=restart)


def check_model(out: Path, *, restart: bool) -> None:
    """See that a model's folder can be written to ``out`` without losing other things; nothing is made or changed.

    A model that exists is taken only with ``restart``, or where the run that made it can go on.

    Raises:
        BadInputError: it has no name, holds other things than a model, stands in no folder, or exists.
    """
    if out.name in ("", ".."):
        raise BadInputError("a folder with a name of its own for the model", str(out), "name another, such as model")
    check_replaceable(out)
    _check_parent(out)
    _check_unused(out, "a new folder", restart=restart)


def _check_parent(out: Path) -> None:
    if not out.parent.is_dir():
        what = "no folder" if out.parent.exists() else "which does not exist"
        raise BadInputError("a folder to write the weights into", f"{out.parent}, {what}", "make it, or name another")


def _check_unused(out: Path, wanted: str, *, restart: bool) -> None:
    if out.exists() and not restart and not (work_folder(out) / "checkpoint.safetensors").exists():
        raise BadInputError(wanted, f"{out}, which exists", "choose another name, or add --restart")
