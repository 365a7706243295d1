"""``inspector evaluate --controls``: what the same figures are without training, and without a network at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inspector.apps.evaluate.earlier import CONTROLS_FOLDER, UNITS_FOLDER
from inspector.apps.evaluate.plan import Asked
from inspector.apps.evaluate.session import Session
from inspector.apps.evaluate.steps import Steps
from inspector.dapo.spec import RANDOM
from inspector.datasets.sample import Dataset
from inspector.domain.errors import BadInputError
from inspector.domain.text import shortened
from inspector.evaluation.comparison import MODEL, Comparison, System, chance_of, from_document, systems_of
from inspector.evaluation.unit_result import UnitResult
from inspector.settings import Settings
from inspector.vision.image_file import printable

# A random text side has nothing to add to distances: with it the control would be weaker than it can be.
_DISTANCES_ALONE = {"bank_fusion": "none", "mutual_fusion": "none"}
# Details, and contrasts, would be those of a network that learnt from photographs.
_NOTHING_LEARNT = {"bank_levels": "coarse", "image_score": "cls"}


@dataclass(frozen=True, slots=True)
class Control:
    """``untrained``: random weights, others for each seed. ``scoring`` changes ``scoring.*``."""

    name: str
    scoring: tuple[tuple[str, str], ...]
    untrained: bool = False


CONTROLS = (
    Control("untrained", (*_NOTHING_LEARNT.items(), *_DISTANCES_ALONE.items()), untrained=True),
    Control("hand-made features", (("bank_levels", "texture"), *_DISTANCES_ALONE.items())),
)


def measure_controls(
    settings: Settings, datasets: Sequence[Dataset], asked: Asked, out: Path, stop: threading.Event
) -> list[System]:
    """Measure all controls as ``asked``, an earlier run's units taken up.

    Raises:
        StoppedError: ``stop`` was set; what is done is kept below ``out``.
    """
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    steps = Steps(len(CONTROLS) * asked.seeds)
    units: dict[Control, list[UnitResult]] = {control: [] for control in CONTROLS}
    for control in CONTROLS:
        for seed in seeds:
            title = f"control {control.name}, seed {seed + 1 - asked.first_seed} of {asked.seeds}"
            steps.begin(title)
            session = _session(control, seed, settings, datasets, asked, out / CONTROLS_FOLDER, title)
            if len(session.units) == len(session.keys):
                steps.was_there()
            session.measure_missing(stop)
            # Zero-shot has no seed of its own; here each has other weights, and so a spread.
            units[control] += [replace(unit, key=replace(unit.key, seed=seed)) for unit in session.units]
    return [system for control, own in units.items() for system in systems_of(control.name, own)]


def _session(
    control: Control, seed: int, settings: Settings, datasets: Sequence[Dataset], asked: Asked, folder: Path, title: str
) -> Session:
    # Without a text side nothing can be said zero-shot.
    shots = asked.shots if control.untrained else tuple(k for k in asked.shots if k)
    own = replace(asked, shots=shots, seeds=1, first_seed=seed)
    place = folder / control.name.replace(" ", "-") / f"seed{seed}" / UNITS_FOLDER
    session = Session(_changed(settings, control, seed), datasets, own, place, title=f"{title}: ", examples=False)
    session.take_up()
    return session


def _changed(settings: Settings, control: Control, seed: int) -> Settings:
    # A control is what is there without training, names of regions among it.
    model: dict[str, object] = {"region_types": "none"}
    if control.untrained:
        model |= {"pretrained": RANDOM, "weights": None, "seed": seed}
    return settings.model_copy(
        update={
            "model": settings.model.model_copy(update=model),
            "scoring": settings.scoring.model_copy(update=dict(control.scoring)),
        }
    )


def compared(units: Sequence[UnitResult], controls: Sequence[System], beside: Sequence[Comparison]) -> Comparison:
    """Return the model's units beside its controls and beside what others measured; of one name the first counts."""
    systems = [*systems_of(MODEL, units), *controls]
    for other in beside:
        known = {system.name for system in systems}
        systems += [system for system in other.systems if system.name not in known]
    return Comparison(tuple(systems), chance_of(units))


def read_beside(path: Path) -> Comparison:
    """Return the comparison in a file; what it calls the model is here called by the file's name.

    Raises:
        BadInputError: it is no comparison.
        OSError: it cannot be read.
    """
    try:
        found = from_document(json.loads(path.read_bytes()))
    except ValueError as error:
        raise BadInputError(
            "a comparison in JSON", f"{printable(path)}: {shortened(str(error))}", "check the file"
        ) from error
    own = [
        replace(system, name=printable(Path(path.stem))) if system.name == MODEL else system for system in found.systems
    ]
    return replace(found, systems=tuple(own))
