"""The command line: one verb a module of ``inspector.apps``."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
