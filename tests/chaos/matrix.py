"""Plays rows of the fault matrix and writes down what came of them.

    python tests/chaos/matrix.py                          # every row at a fiftieth of its size
    python tests/chaos/matrix.py --scale 1 'inspector killed: stored' zombie
    python tests/chaos/matrix.py --list

Prints the table and puts the rows into ``RESULTS.md``. It exits with 1 if a row is not clean.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

from cluster_of_three import BROKERS, running_cluster
from matrix_rows import ROWS
from results import RESULTS, Line, as_table, played, update
from scenario import Row

from inspector.apps.console import print_table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="names, or their beginnings; none: all")
    parser.add_argument("--scale", type=float, default=0.02, help="share of each row's faults and frames")
    parser.add_argument("--rate", type=float, help="frames per second, where the machine is too busy for the rows' own")
    parser.add_argument("--brokers", type=int, choices=(1, BROKERS), default=BROKERS)
    parser.add_argument("--dir", type=Path, help="keep logs and evidence here, in a folder that does not exist yet")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the table to bring up to date")
    parser.add_argument("--list", action="store_true", help="name the rows")
    given = parser.parse_args()
    if given.list:
        print(*(f"{row.name}: {row.times} times, {row.frames} frames" for row in ROWS), sep="\n")
        return 0
    chosen = choose(given.rows)
    if given.rate is not None:
        chosen = [replace(row, rate=min(row.rate, given.rate)) for row in chosen]
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # outages are what this is about
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        lines = play(chosen, given.dir or Path(scratch) / "run", given.scale, given.brokers, given.results)
    print_table(as_table(lines))
    return 0 if all(line.clean for line in lines) else 1


def choose(names: Sequence[str]) -> list[Row]:
    """Return the rows that are named; a beginning names all that begin so."""
    for name in names:
        if not any(row.name.startswith(name) for row in ROWS):
            sys.exit(f"expected the beginning of a row's name, got {name!r}; --list names them")
    return [row for row in ROWS if not names or row.name.startswith(tuple(names))]


def play(rows: Sequence[Row], folder: Path, scale: float, brokers: int, results: Path) -> list[Line]:
    """Play rows one after another on one cluster; each is written down as soon as it is known."""
    lines = []
    with running_cluster(folder / "cluster", brokers) as cluster:
        for number, row in enumerate(rows):
            line = played(row, cluster, folder / f"row-{number}", scale)
            update(results, line)
            lines.append(line)
            print(f"{row.name}: {line.verdict} in {line.seconds} s", file=sys.stderr, flush=True)
    return lines


if __name__ == "__main__":
    sys.exit(main())
