"""What a run begins with: feedback and kept frames become ``Inputs``, their images files in the run's folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path

from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback, FeedbackVerdict, person_key
from inspector.domain.product import ProductSettings, Vocabulary
from inspector.domain.result import PredLabel
from inspector.domain.sample import Sample, SampleKind, mask_part
from inspector.files import write_whole
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.gate_evidence import PersonVerdict
from inspector.pipeline.sample_port import SampleStore
from inspector.training.examples import UNKNOWN_TYPE
from inspector.training.refresh.inputs import Inputs, KnownFrame, Recipe

# In words of a record that people read; the count says how many there are.
_MOST_TOLD = 50
_MOST_TYPES = UNKNOWN_TYPE - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to gather for: the weights in use, the products as configured, and whose word does not count."""

    parent_version: str
    products: Mapping[str, ProductSettings]
    recipe: Recipe
    normals_per_camera: int
    set_aside: Collection[str] = ()


@dataclass
class _Gathered:
    frames: list[KnownFrame] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def add(self, frame: KnownFrame) -> None:
        if frame.image_sha256 not in self.seen:  # a picture sent twice: it has one truth
            self.seen.add(frame.image_sha256)
            self.frames.append(frame)


def gather(book: FeedbackBook, store: SampleStore, wanted: Wanted, folder: Path | None) -> Inputs:
    """Copy what is learnt from and judged by into ``folder``, each image and mask under its SHA-256.

    Frames on which people differ are left out, as are those of people set aside; what they said of them is kept for the
    gate. A frame that was spoken of and is not in the store, or is damaged there, is left out and told. Without a
    ``folder`` only the samples' metadata are read, and what is returned is what would be if none is damaged.

    A normal frame is *in doubt* where the weights that judged it so had, by the time it was captured, missed a defect
    of its product that people told of: others of that kind may lie unseen among such frames.

    Raises:
        ServiceUnavailableError: the store is away.
        CredentialsError: it refuses us.
        OSError: the folder cannot be written.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    samples = {sample.frame_id: sample for sample in store.samples()}
    gathered = _Gathered()
    told = _Told(book, wanted.set_aside)
    vocabularies, offered = _vocabularies(told.settled, wanted)
    for feedback, persons in told.trusted():
        sample = samples.get(feedback.frame_id)
        if sample is None or not _is_of(sample, feedback):
            gathered.left_out.append(f"frame {feedback.frame_id}: spoken of by {persons[0]}, and not kept")
            continue
        try:
            gathered.add(_spoken_of(store, sample, feedback, persons, vocabularies, folder))
        except BadInputError as error:
            gathered.left_out.append(f"frame {feedback.frame_id}: {error.got}")
    doubts = told.first_misses(samples)
    for sample, in_doubt in _normals(samples.values(), told.spoken_of, wanted.normals_per_camera, doubts):
        try:
            gathered.add(_normal(store, sample, folder, in_doubt))
        except BadInputError as error:
            gathered.left_out.append(f"frame {sample.frame_id}: {error.got}")
    return Inputs(
        parent_version=wanted.parent_version,
        frames=tuple(sorted(gathered.frames, key=lambda frame: frame.frame_id)),
        vocabularies=vocabularies,
        offered_types=offered,
        recipe=wanted.recipe,
        feedback_ids=tuple(sorted(told.feedback_ids)),
        conflicts=told.conflicts,
        set_aside=tuple(sorted(wanted.set_aside)),
        verdicts=told.verdicts(),
        left_out=_shortened(gathered.left_out),
    )


def corrections(book: FeedbackBook) -> frozenset[str]:
    """Return the ids of the feedback by which the service was wrong, of frames on which people agree."""
    return frozenset(s.feedback_id for s in book.settled().values() if s.verdict is FeedbackVerdict.WRONG)


class _Told:
    """What people said, less those whose word does not count."""

    def __init__(self, book: FeedbackBook, set_aside: Collection[str]) -> None:
        self._all = book
        self._trusted = book.without(set_aside)
        self._set_aside = frozenset(person_key(person) for person in set_aside)
        self.settled = self._trusted.settled()
        self.conflicts = len(self._trusted.conflicts())
        # By whomever: a frame that was once learnt from must not come to judge when its teacher is set aside.
        self.spoken_of = frozenset(chain(book.settled(), book.conflicts()))
        self.feedback_ids = {said.feedback_id for said in chain(book.settled().values(), self.settled.values())}

    def trusted(self) -> Iterator[tuple[Feedback, tuple[str, ...]]]:
        """Yield one word for each frame on which people agree, and who they are, by frame id."""
        for frame_id, most_exact in sorted(self.settled.items()):
            yield most_exact, tuple(sorted({self._all.name(each) for each in self._trusted.of_frame(frame_id)}))

    def verdicts(self) -> tuple[PersonVerdict, ...]:
        """Return what people said of frames that nothing is learnt from, because they differ or by whom it was said."""
        said = [each for words in self._trusted.conflicts().values() for each in words]
        for frame_id in self.spoken_of:
            said += [each for each in self._all.of_frame(frame_id) if person_key(each.person) in self._set_aside]
        found = (
            PersonVerdict(self._all.name(each), each.frame_id, each.true_label is PredLabel.ANOMALOUS, each.true_type)
            for each in said
        )
        return tuple(sorted(found, key=lambda verdict: (verdict.frame_id, verdict.person)))

    def first_misses(self, samples: Mapping[str, Sample]) -> Mapping[tuple[str, str], datetime]:
        """Return, by product and weights version, when the first defect was captured that people say those missed."""
        first: dict[tuple[str, str], datetime] = {}
        for frame_id in self.settled:
            sample = samples.get(frame_id)
            for said in self._trusted.of_frame(frame_id):
                if said.verdict is FeedbackVerdict.WRONG and said.pred_label is PredLabel.NORMAL:
                    kept = sample is not None and _is_of(sample, said)
                    moment = sample.captured_at if sample is not None and kept else said.given_at
                    key = (said.product, said.weights_version)
                    first[key] = min(moment, first.get(key, moment))
        return first


def _is_of(sample: Sample, feedback: Feedback) -> bool:
    """Tell whether a sample is the frame that was spoken of, and not another under the same id."""
    return sample.kind is SampleKind.FEEDBACK and sample.camera_id == feedback.camera_id


def _vocabularies(
    settled: Mapping[str, Feedback], wanted: Wanted
) -> tuple[dict[str, Vocabulary], dict[str, tuple[str, ...]]]:
    """Return the words of each product with those that people added, and the latter by themselves."""
    added: dict[str, dict[str, None]] = {}
    for _, said in sorted(settled.items()):
        if said.true_type is not None:
            product = said.product if said.product in wanted.products else "default"
            known = {word.casefold() for word in wanted.products[product].vocabulary.defect_types}
            known |= {word.casefold() for word in added.get(product, {})}
            if said.true_type.casefold() not in known:
                added.setdefault(product, {})[said.true_type] = None
    vocabularies = {}
    for name, settings in sorted(wanted.products.items()):
        words = settings.vocabulary
        types = (*words.defect_types, *added.get(name, {}))[:_MOST_TYPES]
        vocabularies[name] = Vocabulary(types, words.object_word)
    return vocabularies, {name: tuple(words) for name, words in sorted(added.items())}


def _spoken_of(
    store: SampleStore,
    sample: Sample,
    feedback: Feedback,
    persons: tuple[str, ...],
    vocabularies: Mapping[str, Vocabulary],
    folder: Path | None,
) -> KnownFrame:
    drawn = mask_part(feedback.feedback_id) if feedback.mask_version is not None else ""
    drawn = drawn if drawn in {part.name for part in sample.parts} else ""
    if folder is not None:
        image, mask = store.image(sample), store.part(sample, drawn) if drawn else None
        write_whole(folder / sample.sha256, image, alone=True)
        if mask is not None and feedback.mask_version is not None:
            write_whole(folder / feedback.mask_version, mask, alone=True)
    words = vocabularies.get(sample.product) or vocabularies["default"]
    return KnownFrame(
        frame_id=sample.frame_id,
        camera_id=sample.camera_id,
        product=sample.product,
        captured_at=sample.captured_at,
        content_type=sample.content_type,
        image_sha256=sample.sha256,
        anomalous=feedback.true_label is PredLabel.ANOMALOUS,
        defect_type=_spelt_as(feedback.true_type, words),
        boxes=feedback.boxes,
        mask_sha256=feedback.mask_version if drawn else None,
        corrected=feedback.verdict is FeedbackVerdict.WRONG,
        persons=persons,
    )


def _spelt_as(word: str | None, words: Vocabulary) -> str | None:
    """Return the type as the vocabulary writes it."""
    if word is None:
        return None
    return next((known for known in words.defect_types if known.casefold() == word.casefold()), word)


def _normal(store: SampleStore, sample: Sample, folder: Path | None, in_doubt: bool) -> KnownFrame:
    if folder is not None:
        write_whole(folder / sample.sha256, store.image(sample), alone=True)
    return KnownFrame(
        sample.frame_id,
        sample.camera_id,
        sample.product,
        sample.captured_at,
        sample.content_type,
        sample.sha256,
        in_doubt=in_doubt,
    )


def _normals(
    samples: Collection[Sample],
    spoken_of: Collection[str],
    most: int,
    first_misses: Mapping[tuple[str, str], datetime],
) -> Iterator[tuple[Sample, bool]]:
    """Yield frames judged normal that nobody spoke of, and whether they are in doubt.

    At most ``most`` of each camera: first those without doubt, then by their hashes.
    """

    def in_doubt(sample: Sample) -> bool:
        missed = first_misses.get((sample.product, sample.weights_version))
        return missed is not None and sample.captured_at >= missed

    taken: dict[str, int] = {}
    for doubtful, sample in sorted(((in_doubt(each), each) for each in samples), key=lambda p: (p[0], p[1].sha256)):
        usual = sample.kind is SampleKind.NORMAL and sample.pred_label is PredLabel.NORMAL
        if usual and sample.frame_id not in spoken_of and taken.get(sample.camera_id, 0) < most:
            taken[sample.camera_id] = taken.get(sample.camera_id, 0) + 1
            yield sample, doubtful


def _shortened(told: Sequence[str]) -> tuple[str, ...]:
    more = len(told) - _MOST_TOLD
    return (*told[:_MOST_TOLD], f"and {more} more") if more > 0 else tuple(told)
