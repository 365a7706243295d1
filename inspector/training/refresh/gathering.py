"""What a run begins with: feedback and kept frames become ``Inputs``, their images files in the run's folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback, FeedbackVerdict
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
# A mask file is known by its bytes' hash, as an image is.
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


def gather(book: FeedbackBook, store: SampleStore, wanted: Wanted, folder: Path) -> Inputs:
    """Copy what is learnt from and judged by into ``folder``, each image and mask under its SHA-256.

    Frames on which people differ are left out, as are those of people set aside; what they said of them is kept for the
    gate. A frame that was spoken of and is not in the store, or is damaged there, is left out and told.

    Raises:
        ServiceUnavailableError: the store is away.
        CredentialsError: it refuses us.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    samples = {sample.frame_id: sample for sample in store.samples()}
    vocabularies, offered = _vocabularies(book, wanted)
    gathered = _Gathered()
    told = _Told(book, frozenset(wanted.set_aside))
    for feedback, persons in told.trusted():
        sample = samples.get(feedback.frame_id)
        if sample is None:
            gathered.left_out.append(f"frame {feedback.frame_id}: spoken of by {persons[0]}, and not kept")
            continue
        try:
            gathered.add(_spoken_of(store, sample, feedback, persons, vocabularies, folder))
        except BadInputError as error:
            gathered.left_out.append(f"frame {feedback.frame_id}: {error.got}")
    for sample in _normals(samples.values(), told.spoken_of, wanted.normals_per_camera):
        try:
            gathered.add(_normal(store, sample, folder))
        except BadInputError as error:
            gathered.left_out.append(f"frame {sample.frame_id}: {error.got}")
    return Inputs(
        parent_version=wanted.parent_version,
        frames=tuple(sorted(gathered.frames, key=lambda frame: frame.frame_id)),
        vocabularies=vocabularies,
        offered_types=offered,
        recipe=wanted.recipe,
        feedback_ids=tuple(sorted(said.feedback_id for said in book.settled().values())),
        conflicts=len(book.conflicts()),
        set_aside=tuple(sorted(wanted.set_aside)),
        verdicts=told.verdicts(),
        left_out=_shortened(gathered.left_out),
    )


def corrections(book: FeedbackBook) -> frozenset[str]:
    """Return the ids of the feedback by which the service was wrong, of frames on which people agree."""
    return frozenset(s.feedback_id for s in book.settled().values() if s.verdict is FeedbackVerdict.WRONG)


class _Told:
    """What people said, less those whose word does not count."""

    def __init__(self, book: FeedbackBook, set_aside: frozenset[str]) -> None:
        self._book = book
        self._set_aside = set_aside
        self._settled = book.settled()
        self.spoken_of = frozenset(chain(self._settled, book.conflicts()))

    def trusted(self) -> Iterator[tuple[Feedback, tuple[str, ...]]]:
        """Yield one word for each frame on which people agree, and who they are, by frame id."""
        for frame_id, settled in sorted(self._settled.items()):
            said = [each for each in self._book.of_frame(frame_id) if each.person not in self._set_aside]
            if said:
                most_exact = settled if settled.person not in self._set_aside else said[-1]
                yield most_exact, tuple(sorted({each.person for each in said}))

    def verdicts(self) -> tuple[PersonVerdict, ...]:
        """Return what people said of frames that nothing is learnt from, because they differ or by whom it was said."""
        of_nobody = [each for said in self._book.conflicts().values() for each in said]
        for frame_id in self._settled:
            of_nobody += [each for each in self._book.of_frame(frame_id) if each.person in self._set_aside]
        found = (
            PersonVerdict(each.person, each.frame_id, each.true_label is PredLabel.ANOMALOUS, each.true_type)
            for each in of_nobody
        )
        return tuple(sorted(found, key=lambda verdict: (verdict.frame_id, verdict.person)))


def _vocabularies(book: FeedbackBook, wanted: Wanted) -> tuple[dict[str, Vocabulary], dict[str, tuple[str, ...]]]:
    """Return the words of each product with those that people added, and the latter by themselves."""
    added: dict[str, dict[str, None]] = {}
    for _, said in sorted(book.settled().items()):
        if said.person not in wanted.set_aside and said.true_type is not None:
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
    folder: Path,
) -> KnownFrame:
    image = store.image(sample)
    mask = None if feedback.mask_version is None else store.part(sample, mask_part(feedback.feedback_id))
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
        mask_sha256=None if mask is None else feedback.mask_version,
        corrected=feedback.verdict is FeedbackVerdict.WRONG,
        persons=persons,
    )


def _spelt_as(word: str | None, words: Vocabulary) -> str | None:
    """Return the type as the vocabulary writes it."""
    if word is None:
        return None
    return next((known for known in words.defect_types if known.casefold() == word.casefold()), word)


def _normal(store: SampleStore, sample: Sample, folder: Path) -> KnownFrame:
    write_whole(folder / sample.sha256, store.image(sample), alone=True)
    return KnownFrame(
        sample.frame_id, sample.camera_id, sample.product, sample.captured_at, sample.content_type, sample.sha256
    )


def _normals(samples: Collection[Sample], spoken_of: Collection[str], most: int) -> Iterator[Sample]:
    """Yield frames judged normal that nobody spoke of: at most ``most`` of each camera, chosen by their hashes."""
    taken: dict[str, int] = {}
    for sample in sorted(samples, key=lambda each: each.sha256):
        usual = sample.kind is SampleKind.NORMAL and sample.pred_label is PredLabel.NORMAL
        if usual and sample.frame_id not in spoken_of and taken.get(sample.camera_id, 0) < most:
            taken[sample.camera_id] = taken.get(sample.camera_id, 0) + 1
            yield sample


def _shortened(told: Sequence[str]) -> tuple[str, ...]:
    more = len(told) - _MOST_TOLD
    return (*told[:_MOST_TOLD], f"and {more} more") if more > 0 else tuple(told)
