"""The checker: holds what the line left behind against the truth, and says what is wrong.

    python tests/chaos/checker.py -c inspector.yaml --truth truth.jsonl [--journal RUN] [--acked producer.jsonl]

Run it when the line stands still. It exits with 1 on any finding, and where frames are still open. That it finds what
it should is itself tested, by workers with planted bugs (``planted/``).
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from evidence import gather
from findings import Findings
from rules import VerdictRule, compare
from stub_engine import stub_verdict

from inspector import settings as settings_of
from inspector.apps.console import print_table
from inspector.settings import Settings


def check(
    truth: Path,
    settings: Settings,
    *,
    journal: Path | None = None,
    acked: Sequence[Path] = (),
    verdict_of: VerdictRule | None = stub_verdict,
) -> Findings:
    """Return what is wrong with a line that stands still.

    Args:
        truth: the keeper's log, which should be caught up.
        settings: those of the line: brokers, topics, group, Redis, retention.
        journal: the folder of the workers' journals, where they are stub workers; without, zombies' overwriting is
            seen for anomalous frames only, and mixed weights not at all.
        acked: logs of producers (``truth.AckedLog``).
        verdict_of: tells the verdict on a frame's SHA-256; None where the scorer is not the stub.

    Raises:
        ServiceUnavailableError, KafkaError: Kafka or Redis is away.
        TimeoutError: records did not become readable.
    """
    return compare(gather(truth, settings, journal, acked), verdict_of)


def main() -> int:
    """Check the configured line; print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--config", type=Path, help="settings of the line")
    parser.add_argument("--truth", type=Path, required=True, help="the keeper's log")
    parser.add_argument("--journal", type=Path, help="folder of the stub workers' journals")
    parser.add_argument("--acked", type=Path, action="append", default=[], help="a producer's log of acknowledgements")
    parser.add_argument("--bootstrap", help="instead of kafka.bootstrap_servers")
    parser.add_argument("--redis", help="instead of redis.url")
    parser.add_argument("--any-verdict", action="store_true", help="the scorer is not the stub")
    given = parser.parse_args()
    # What is not there would read as empty, and switch its rules off without a word.
    for path in (given.truth, *given.acked):
        if not path.is_file():
            parser.error(f"expected a log, got {path}, which is none")
    if given.journal is not None and not any(given.journal.glob("stores-*.jsonl")):
        parser.error(f"expected a folder with journals (stores-*.jsonl), got {given.journal}")
    logging.getLogger("kafka").setLevel(logging.ERROR)
    flags: dict[str, dict[str, str]] = {}
    if given.bootstrap:
        flags["kafka"] = {"bootstrap_servers": given.bootstrap}
    if given.redis:
        flags["redis"] = {"url": given.redis}
    settings = settings_of.load(given.config, flags)
    verdict_of = None if given.any_verdict else stub_verdict
    found = check(given.truth, settings, journal=given.journal, acked=given.acked, verdict_of=verdict_of)
    print_table(found.as_table())
    return 0 if found.clean else 1


if __name__ == "__main__":
    sys.exit(main())
