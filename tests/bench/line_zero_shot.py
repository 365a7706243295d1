"""How well a model judges the virtual lines, whose products it has never seen, at a threshold fixed beforehand.

    python tests/bench/line_zero_shot.py --good 1002 --out line.json
    python tests/bench/line_zero_shot.py -c other.yaml --mode mutual --tiles 2

Every camera sends frames of one product, one defective part in four, in the order in which the line makes them; the
engine that serves judges them in batches. The threshold is the weights' own (mode ``zero_shot``), from the rendered
parts they were tuned on, or what the camera's unlabelled frames say (``mutual``, ``auto``): the truth decides nothing.
*at 1 %* is what would be found at the threshold that lets one good frame in 100 alarm, which nobody could know: how far
the fixed threshold is from the best. *type*: share of the found frames whose gravest defect is of a type that was made
on them. Four figures to beat: recall 0.9, false alarms 0.01, at least 1,000 good frames, type 0.7.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np

from inspector.apps import model_wiring
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.product import CameraMode, CameraSettings
from inspector.domain.result import PredLabel
from inspector.evaluation.ranking import rank_images
from inspector.settings import load
from inspector.simulator.catalogue import NAMES, product_settings
from inspector.simulator.line import SimulatedFrame, VirtualLine, line
from inspector.vision.engine import InspectionEngine

DEFECT_RATE = 0.25
BATCH = 8
TAKEN_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Judged:
    """One frame: its score (order only), the verdict, the type said first, and the types that are on it."""

    product: str
    score: float
    anomalous: bool
    mode: str
    said: str | None
    made: tuple[str, ...]


def stream(made: VirtualLine, good: int) -> Iterator[SimulatedFrame]:
    """Yield the frames of a line up to its ``good``-th good one."""
    for frame in made.frames():
        yield frame
        good -= not frame.truth.defects
        if good == 0:
            return


def judge_line(engine: InspectionEngine, name: str, frames: Iterator[SimulatedFrame]) -> Iterator[Judged]:
    """Send the frames through the engine as camera ``name``."""
    while batch := list(islice(frames, BATCH)):
        metas = [FrameMeta(f"{name}-{f.index}", name, "line-1", name, TAKEN_AT, "image/jpeg") for f in batch]
        source = FrameSource("frames", 0, 0)
        decoded = [engine.decode(Frame(meta, source, f.jpeg)) for meta, f in zip(metas, batch, strict=True)]
        for frame, (verdict, raw) in zip(batch, engine.inspect_with_raw(decoded), strict=True):
            yield Judged(
                name,
                float(raw.image_score),
                verdict.pred_label is PredLabel.ANOMALOUS,
                verdict.mode.value,
                verdict.defects[0].defect_type if verdict.defects else None,
                tuple(dict.fromkeys(defect.defect_type for defect in frame.truth.defects)),
            )


def figures(judged: Sequence[Judged]) -> dict[str, float | int]:
    """Return the row of a table; NaN where there is nothing to divide by, or scores of several modes have no order."""
    bad, good = [j for j in judged if j.made], [j for j in judged if not j.made]
    found = [j for j in bad if j.anomalous]
    one_order = len({j.mode for j in judged}) == 1
    limit = np.quantile([j.score for j in good], 0.99, method="higher")
    area = rank_images([j.score for j in judged], [bool(j.made) for j in judged]).auroc.value
    return {
        "good": len(good),
        "defective": len(bad),
        "false alarms": float(np.mean([j.anomalous for j in good])),
        "recall": len(found) / len(bad),
        "type": float(np.mean([j.said in j.made for j in found])) if found else float("nan"),
        "recall at 1 %": float(np.mean([j.score > limit for j in bad])) if one_order else float("nan"),
        "auroc": area if one_order and area is not None else float("nan"),
    }


def recall_by_type(judged: Sequence[Judged]) -> dict[str, dict[str, float | int]]:
    """Return found share and right-type share of the frames with exactly this defect."""
    rows = {}
    for kind in sorted({kind for j in judged for kind in j.made}):
        alone = [j for j in judged if j.made == (kind,)]
        found = [j for j in alone if j.anomalous]
        right = float(np.mean([j.said == kind for j in found])) if found else float("nan")
        rows[kind] = {"defective": len(alone), "recall": len(found) / max(1, len(alone)), "type": right}
    return rows


def table(rows: dict[str, dict[str, float | int]], corner: str) -> str:
    """Return rows as Markdown."""
    columns = list(next(iter(rows.values())))
    lines = [f"| {corner} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = [str(value) if isinstance(value, int) else f"{value:.3f}" for value in row.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--config", type=Path, help="settings; default: the bundled model")
    parser.add_argument("--good", type=int, default=1002, help="good frames of all lines together (default 1002)")
    parser.add_argument("--mode", choices=["zero_shot", "mutual", "auto"], default="zero_shot")
    parser.add_argument("--tiles", type=int, default=1)
    parser.add_argument("--seed", type=int, default=11, help="of the lines' design and parts; the demo's is 7")
    parser.add_argument("--out", type=Path, help="every frame, as JSON")
    asked = parser.parse_args()
    settings = load(asked.config)
    weights, manifest = model_wiring.prompt_weights(settings)
    products = {name: replace(product_settings(name), tiles=asked.tiles) for name in NAMES}
    cameras = {name: CameraSettings(name, mode=CameraMode(asked.mode)) for name in NAMES}
    engine = model_wiring.engine_of(settings, weights, manifest, products, cameras, allow_unknown=False)
    judged = [
        one
        for name in NAMES
        for one in judge_line(engine, name, stream(line(name, asked.seed, DEFECT_RATE), -(-asked.good // len(NAMES))))
    ]
    print(
        f"{manifest.model} / {manifest.pretrained}, prompts {manifest.version[:12]}"
        f"{'' if manifest.trained else ' (UNTRAINED)'}, mode {asked.mode}, {asked.tiles} tiles, seed {asked.seed}\n"
    )
    by_product = {name: figures([j for j in judged if j.product == name]) for name in NAMES}
    print(table({**by_product, "all": figures(judged)}, "line"), table(recall_by_type(judged), "only"), sep="\n\n")
    if asked.out is not None:
        asked.out.write_text(json.dumps([asdict(one) for one in judged]))


if __name__ == "__main__":
    main()
