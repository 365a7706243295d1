"""``inspector samples``: the frames that are kept for training."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

from inspector.apps import console, model_wiring, wiring
from inspector.domain.sample import Sample, SampleKind
from inspector.settings import Settings

if TYPE_CHECKING:
    from inspector.adapters.samples.store import Damage
    from inspector.apps.samples_gather import GatherReport
    from inspector.pipeline.feedback_book import FeedbackBook

_MB = 1_000_000


def gather(settings: Settings, book: FeedbackBook) -> GatherReport:
    """Keep what is worth learning from of what Redis and Kafka hold now, within the budget; it may be repeated.

    Raises:
        ServiceUnavailableError: Redis, Kafka or the store is away, or the store's disk is full.
        CredentialsError: one of them refuses us.
        BadInputError: there is no frames topic or no bucket, or a setting cannot be used.
    """
    from inspector.adapters.kafka.record_at import RecordReader
    from inspector.apps.sample_maker import SampleMaker
    from inspector.apps.samples_gather import Gatherer

    results = wiring.results(settings)
    connection = wiring.kafka_connection(settings)
    with closing(RecordReader(connection, settings.kafka.frames_topic, settings.limits.max_frame_bytes)) as log:
        maker = SampleMaker(results, log.record_at, model_wiring.decode_limits(settings))
        masks, store = wiring.feedback_masks(settings), wiring.sample_store(settings)
        return Gatherer(maker, results, masks, store).gather(book)


def run_gather(settings: Settings, as_json: bool) -> None:
    """Gather, and print what came of it. Raises as ``gather``."""
    from inspector.adapters.kafka.feedback_log import read_book

    with console.status("gathering"):
        book = read_book(wiring.kafka_connection(settings), settings.kafka.feedback_topic)
        report = gather(settings, book)
    if as_json:
        console.print_record(report)
    else:
        made = console.table("kind", "kept", "of them new")
        for kind in SampleKind:
            made.add_row(kind.value, str(report.held.get(kind, 0)), str(report.added.get(kind, 0)))
        console.print_table(made)
        console.lines([f"{_megabytes(report.used_bytes)} of {_megabytes(report.max_bytes)}"])
    for reason, count in sorted(report.left_out.items()):
        console.remark(f"not kept, {count}: {reason}")
    if report.feedback_lost:
        console.remark(
            f"{len(report.feedback_lost)} frames that people spoke of are not kept, {report.feedback_lost[0]} among "
            "them: gather more often than retention.* lets frames go, or raise samples.max_bytes",
            "yellow",
        )


def show(settings: Settings, camera_id: str | None, as_json: bool) -> None:
    """Print the samples, of one camera or all. Raises as ``SampleStore``."""
    found = list(wiring.sample_store(settings).samples(camera_id))
    if as_json:
        console.print_records(found)
        return
    made = console.table("camera", "kind", "captured", "verdict", "score", "threshold", "kB", "frame")
    for sample in found:
        made.add_row(
            console.cell(sample.camera_id),
            sample.kind.value,
            console.local_time(sample.captured_at),
            console.verdict(sample.pred_label),
            f"{sample.anomaly_score:.3f}",
            f"{sample.image_threshold:.3f}",
            str(round(sample.total_bytes / 1000)),
            console.cell(sample.frame_id, "dim"),
        )
    if found:
        console.print_table(made)
    console.remark(_summary(found))


def verify(settings: Settings, as_json: bool) -> bool:
    """Read every sample and say which are damaged; tell whether none is. Raises as ``SampleStore``."""
    store = wiring.sample_store(settings)
    with console.status("reading the samples"):
        damaged = list(store.damage())
        whole = sum(1 for _ in store.samples()) - sum(found.sample is not None for found in damaged)
    if as_json:
        console.print_json({"whole": whole, "damaged": [_facts(found) for found in damaged]})
    else:
        console.lines([f"damaged {found.folder}: {found.problem}" for found in damaged])
        console.lines([f"{whole} samples are whole, {len(damaged)} are damaged"])
    return not damaged


def prune(settings: Settings, as_json: bool) -> None:
    """Remove what is damaged, what killed puts left, and what is beyond the limits. Raises as ``SampleStore``."""
    store = wiring.sample_store(settings)
    with console.status("reading the samples"):
        damaged = list(store.damage())
        store.discard(damaged)
        swept = store.sweep()
        beyond = store.trim()
    facts = {"damaged": len(damaged), "leftover_objects": swept, "beyond_limits": beyond}
    if as_json:
        console.print_json(facts | {"used_bytes": store.used_bytes()})
        return
    words = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in facts.items())
    console.lines([f"removed: {words}; {_megabytes(store.used_bytes())} are used"])


def _facts(found: Damage) -> dict[str, object]:
    sample = found.sample
    named = {} if sample is None else {"camera_id": sample.camera_id, "frame_id": sample.frame_id}
    return {"folder": found.folder, "problem": found.problem, **named}


def _summary(found: list[Sample]) -> str:
    counts = Counter(sample.kind for sample in found)
    kinds = ", ".join(f"{counts[kind]} {kind.value}" for kind in SampleKind)
    return f"{len(found)} samples ({kinds}), {_megabytes(sum(sample.total_bytes for sample in found))}"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / _MB:,.1f} MB"
