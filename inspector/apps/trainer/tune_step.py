"""The step that makes a candidate: examples assembled, and weights tuned from those that serve."""

from __future__ import annotations

from inspector.apps import model_wiring
from inspector.apps.trainer.job import Job, TunedNote
from inspector.dapo.clip import model_shape
from inspector.dapo.weights_file import save_weights
from inspector.training.refresh.assembly import assemble
from inspector.training.refresh.tuning import Budget, tune


def tune_candidate(job: Job) -> TunedNote:
    """Tune, and leave the candidate's file. Raises as ``assemble`` and ``tune``."""
    spec, trainer = model_wiring.model_spec(job.settings), job.settings.trainer
    size_px = model_shape(spec).image_size_px
    limits = model_wiring.decode_limits(job.settings)
    assembled = assemble(job.inputs, job.normals(), job.folder.images, size_px, limits)
    job.tell(f"tuning on {', '.join(f'{count} {name}' for name, count in assembled.counts.items())} examples")
    budget = Budget(
        seconds=trainer.budget_s,
        memory_bytes=None if trainer.memory_mb is None else trainer.memory_mb * 2**20,
        images_at_once=trainer.images_at_once,
        cache_bytes=trainer.cache_mb * 2**20,
        checkpoint_every_s=trainer.checkpoint_every_s,
    )
    options = job.inputs.recipe.options
    start = job.serving.made
    tuned = tune(spec, assembled.source, options, job.folder.tuning, start, budget, stop=job.stop)
    saved = save_weights(job.folder.candidate, *tuned.made)
    return TunedNote(saved.version, tuned.steps, tuned.seconds, assembled.counts, assembled.left_out)
