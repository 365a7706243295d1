"""``inspector find``: regions of stored results, ranked by how much they look like a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inspector.apps import console, model_wiring, wiring
from inspector.apps.known_weights import KnownWeights
from inspector.domain.errors import BadInputError
from inspector.domain.product import ProductSettings, Vocabulary
from inspector.domain.report import DefectReport
from inspector.domain.result import InspectionResult
from inspector.domain.text import is_text
from inspector.pipeline.report import report
from inspector.pipeline.sizes import size_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from inspector.adapters.redis.results import RedisResults
    from inspector.domain.weights import WeightsManifest
    from inspector.settings import Settings
    from inspector.vision.region_embeddings import RegionEmbeddings

_MAX_TEXT = 300
# Results looked at in one search: about ten seconds of reading, and tens of megabytes.
_MAX_RESULTS = 10_000


@dataclass(frozen=True, slots=True)
class Request:
    """``text`` is what to look for; no ``camera_ids``: all cameras, ``last`` results of each, ``top`` regions shown."""

    text: str
    camera_ids: tuple[str, ...] = ()
    last: int = 200
    top: int = 20
    with_normal: bool = False
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class _Stored:
    """A result with what its defects look like to words."""

    result: InspectionResult
    regions: RegionEmbeddings = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Hit:
    similarity: float
    result: InspectionResult
    place: int  # of the defect in the result
    described: DefectReport


def run(settings: Settings, request: Request) -> None:
    """Print the regions that look most like the text, the best first.

    The similarity of a region is its cosine with the prompt ``TEXT anomaly object`` less its cosine with ``normal
    object``: above 0 it looks more like the text than like a good part. It ranks; it is no probability.

    Raises:
        BadInputError: no text, an unknown camera, or model and weights that are not what they should be.
        InspectorError: as ``RedisResults``.
    """
    text = " ".join(request.text.split())
    if not 0 < len(text) <= _MAX_TEXT:
        raise BadInputError(f"a text of 1 to {_MAX_TEXT} characters", f"{len(text)}", "say in a few words what to find")
    if not is_text(text):
        raise BadInputError("a text in UTF-8", repr(text), "type it anew, in a terminal whose locale is UTF-8")
    store = wiring.results(settings)
    cameras = _cameras(store, request.camera_ids)
    with console.status("loading the model"):
        versions = KnownWeights(settings)
    skipped: Counter[str] = Counter()
    stored: list[_Stored] = []
    hits: list[_Hit] = []
    for version, items in _by_version(_stored(store, cameras, request, versions, skipped)).items():
        wanted = _encoded(settings, versions, version, text)
        fitting = [item for item in items if item.regions.values.shape[1] == len(wanted)]
        skipped["with damaged regions"] += len(items) - len(fitting)
        stored += fitting
        hits += _hits(settings, wanted, fitting)
    hits.sort(key=lambda hit: (-hit.similarity, hit.result.frame_id, hit.place))
    skipped = +skipped  # none of a kind is no kind
    _remarks(versions, skipped)
    if request.as_json:
        console.print_json(_as_json(text, versions.own, stored, hits[: request.top], skipped))
    else:
        _print(hits[: request.top], len(hits))


def _cameras(store: RedisResults, asked: Sequence[str]) -> list[str]:
    known = store.cameras()
    if unknown := [camera_id for camera_id in asked if camera_id not in known]:
        raise BadInputError(
            "cameras with results",
            f"{', '.join(map(repr, unknown))}; there are {', '.join(sorted(known)) or 'none'}",
            "check the names with `inspector cameras`",
        )
    return list(dict.fromkeys(asked)) or list(known)


def _stored(
    store: RedisResults, cameras: Sequence[str], request: Request, versions: KnownWeights, skipped: Counter[str]
) -> Iterator[_Stored]:
    """Yield the results that compare; ``skipped`` counts the others by what keeps them from it."""
    from inspector.vision.region_embeddings import parse_regions

    last = max(1, min(request.last, _MAX_RESULTS // max(1, len(cameras))))
    with console.progress("reading", len(cameras)) as meter:
        for camera_id in cameras:
            for result in store.last(camera_id, last, defects_only=not request.with_normal):
                if not result.defects:
                    continue
                if (known := versions.find(result.weights_version)) is None:
                    skipped[f"made by weights {result.weights_version[:12]}"] += 1
                    continue
                if (data := store.regions(result.frame_id)) is None:
                    skipped["stored without what text is compared with"] += 1
                    continue
                try:
                    regions = parse_regions(data)
                except BadInputError:
                    skipped["with damaged regions"] += 1
                    continue
                # Judged anew between the two reads, or written by something else.
                made_with = (regions.made_with.model, regions.made_with.weights_version)
                if made_with != (known[1].model, known[1].version) or len(regions.values) != len(result.defects):
                    skipped["whose regions are those of another verdict"] += 1
                    continue
                yield _Stored(result, regions)
            meter.advance()


def _by_version(stored: Iterable[_Stored]) -> Mapping[str, list[_Stored]]:
    """Return results by the weights that made them: only those understand their regions."""
    found: dict[str, list[_Stored]] = {}
    for item in stored:
        found.setdefault(item.result.weights_version, []).append(item)
    return found


def _encoded(settings: Settings, versions: KnownWeights, version: str, text: str) -> NDArray[np.float32]:
    """Return what a region's product with is its similarity to ``text``, [D], by the weights of one known version."""
    from inspector.dapo.text import encode_vocabularies

    weights, manifest = versions[version]

    vocabulary = Vocabulary((text,))
    with console.status("reading the text"):
        spec = model_wiring.model_spec(settings)
        encoded = encode_vocabularies(spec, weights, [vocabulary], manifest.text_mode)[vocabulary]
    normal, wanted = encoded.numpy()
    direction: NDArray[np.float32] = wanted - normal
    return direction


def _hits(settings: Settings, wanted: NDArray[np.float32], stored: Sequence[_Stored]) -> list[_Hit]:
    """Return every region of ``stored``."""
    products = settings.domain_products()
    hits = []
    for item in stored:
        described = report(item.result, [], _product(products, item.result)).defects
        similarities = item.regions.values.astype(wanted.dtype) @ wanted
        hits += [
            _Hit(float(similarity), item.result, place, defect)
            for place, (similarity, defect) in enumerate(zip(similarities, described, strict=True))
        ]
    return hits


def _product(products: Any, result: InspectionResult) -> ProductSettings:
    found: ProductSettings = products.get(result.product, products["default"])
    return found


def _remarks(versions: KnownWeights, skipped: Counter[str]) -> None:
    for trouble in versions.troubles:
        console.remark(trouble, "yellow")
    if not versions.own.trained:
        console.remark("the weights are untrained (model.weights): this ranking means nothing", "yellow")
    for what, count in sorted(skipped.items()):
        console.remark(f"{count} results {what} are not compared", "yellow")


def _print(hits: Sequence[_Hit], found: int) -> None:
    made = console.table("rank", "similarity", "camera", "frame", "captured", "type", "where", "size")
    for rank, hit in enumerate(hits, start=1):
        made.add_row(
            str(rank),
            f"{hit.similarity:+.3f}",
            console.cell(hit.result.camera_id),
            console.cell(hit.result.frame_id, "dim"),
            console.local_time(hit.result.captured_at),
            console.cell(hit.described.defect_type),
            _where(hit.described),
            size_text(hit.described.width, hit.described.height, hit.described.unit),
        )
    if hits:
        console.print_table(made)
    console.lines([f"{len(hits)} of {found} regions" if hits else "no regions to compare with"])


def _where(defect: DefectReport) -> str:
    return f"{defect.place}, near the edge" if defect.near_edge else defect.place


def _as_json(
    text: str, own: WeightsManifest, stored: Sequence[_Stored], hits: Sequence[_Hit], skipped: Counter[str]
) -> dict[str, object]:
    return {
        "text": text,
        "weights_version": own.version,
        "weights_trained": own.trained,
        "weights_compared": sorted({item.result.weights_version for item in stored}),
        "results_compared": len(stored),
        "regions_compared": sum(len(item.result.defects) for item in stored),
        "results_not_compared": dict(skipped),
        "regions": [
            {
                "rank": rank,
                "similarity": round(hit.similarity, 6),
                "camera_id": hit.result.camera_id,
                "frame_id": hit.result.frame_id,
                "captured_at": hit.result.captured_at,
                "defect": hit.place,
                "defect_type": hit.described.defect_type,
                "where": _where(hit.described),
                "size": size_text(hit.described.width, hit.described.height, hit.described.unit),
            }
            for rank, hit in enumerate(hits, start=1)
        ],
    }
