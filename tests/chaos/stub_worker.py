"""``inspector inspect`` with the stub in the scorer's place; loop, adapters, supervisor and settings are the real ones.

    python tests/chaos/stub_worker.py -c inspector.yaml --dir RUN [--act kill:stored:3] [--plant auto_commit]

runs a supervised worker, ``--alone`` the worker without its parent (its standard input must be a pipe that stays open).
RUN gets the journal of what was stored (``stores-*.jsonl``) and, in ``acts-REPLICA``, which acts have happened.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from acts import Act, Actor
from journal import JournallingStore
from patching import replace
from stub_engine import StubEngine

from inspector import settings as settings_of
from inspector.adapters.kafka.frame_log import KafkaFrameLog
from inspector.adapters.telemetry.logs import configure_logging
from inspector.apps import inspect, model_wiring, wiring
from inspector.apps.supervisor import Supervisor

_log = logging.getLogger("inspector.chaos")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--config", type=Path, required=True, help="settings of the line")
    parser.add_argument("--dir", type=Path, required=True, help="folder of the run, shared by all workers")
    parser.add_argument("--alone", action="store_true", help="the worker itself, without a supervisor")
    parser.add_argument(
        "--act",
        type=Act.parse,
        action="append",
        default=[],
        metavar="kill|stop:MILESTONE:NTH[:LIVES]",
        help="end or stop the worker at its NTH passing of a milestone, in its first LIVES lives (1)",
    )
    parser.add_argument(
        "--plant", action="append", default=[], metavar="MODULE", help="a bug of tests/chaos/planted, or any module"
    )
    parser.add_argument("--score-ms", type=float, default=0.0, help="how long a batch is scored")
    parser.add_argument("--weights-every", type=int, default=50, help="batches that share a weights version")
    parser.add_argument("--session-timeout-ms", type=int, default=10_000, help="of the group membership")
    return parser


def work(given: argparse.Namespace) -> int:
    """Run the real worker with the stub, the journal, the acts and what was planted."""
    settings = settings_of.load(given.config)
    configure_logging(level=settings.log_level)
    real_store = wiring.result_store
    engine = StubEngine(score_s=given.score_ms / 1000, weights_every=given.weights_every)
    replace(model_wiring, "engine", lambda _settings: engine)
    replace(wiring, "result_store", lambda settings: JournallingStore(real_store(settings), given.dir))
    replace(inspect, "KafkaFrameLog", partial(KafkaFrameLog, session_timeout_ms=given.session_timeout_ms))
    for name in given.plant:
        _log.warning("planted: %s", name)
        importlib.import_module(name if "." in name else f"planted.{name}").plant()
    return inspect.work(settings, Actor(given.act, given.dir / f"acts-{settings.replica}"))


def supervise(own_arguments: Sequence[str]) -> int:
    def on_restart(code: int, delay_s: float) -> None:
        _log.warning("worker ended with %d, again in %.0f s", code, delay_s)

    configure_logging()
    return Supervisor([sys.executable, __file__, *own_arguments, "--alone"], on_restart).run()


if __name__ == "__main__":
    asked = arguments().parse_args()
    sys.exit(work(asked) if asked.alone else supervise(sys.argv[1:]))
