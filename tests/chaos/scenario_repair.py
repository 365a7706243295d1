"""``inspector reconcile --repair --json`` with the stub in the scorer's place, which repeats each frame's verdict.

python tests/chaos/scenario_repair.py -c inspector.yaml
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from injected import one_version
from stub_engine import StubEngine

from inspector import settings as settings_of
from inspector.apps import model_wiring, reconcile


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--config", type=Path, required=True)
    logging.getLogger("kafka").setLevel(logging.ERROR)
    one_version.plant()
    model_wiring.engine = lambda _settings: StubEngine()  # type: ignore[assignment,return-value]
    settings = settings_of.load(parser.parse_args().config)
    return 0 if reconcile.run(settings, None, None, repair=True, as_json=True) else 1


if __name__ == "__main__":
    sys.exit(main())
