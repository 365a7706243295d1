"""Where feedback is taken, from the command line and over HTTP alike: looked up, judged, and kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

from inspector.adapters.artefacts import version_of
from inspector.adapters.kafka.feedback_log import publish_feedback, read_book
from inspector.apps import model_wiring, wiring
from inspector.apps.known_products import KnownProducts
from inspector.domain.errors import BadInputError
from inspector.domain.product import ProductSettings
from inspector.domain.result import InspectionResult
from inspector.domain.text import is_text
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.feedback_rules import FeedbackRequest, TakenFeedback, UnknownFrameError, judge
from inspector.settings import Settings

_MAX_ID_CHARS = 128
# Redis holds it, which the line lives on. What people draw takes some kilobytes, noise on a whole frame a megabyte.
_MOST_MASK_BYTES = 256 * 1024


class FeedbackDesk:
    """``web.feedback.FeedbackDesk``, on the Kafka and Redis of the settings. Thread-safe.

    Raises:
        InspectorError: Redis cannot be used.
    """

    def __init__(
        self, settings: Settings, kept: Callable[[str], InspectionResult | None] = lambda _frame_id: None
    ) -> None:
        """``kept`` returns the result of a frame that Redis has let go and that is kept elsewhere."""
        self._settings = settings
        self._kept = kept
        self._results = wiring.results(settings)
        self._masks = wiring.feedback_masks(settings)
        self._products = KnownProducts(settings)
        self._connection = wiring.kafka_connection(settings)
        self._topic = settings.kafka.feedback_topic

    def take(self, request: FeedbackRequest) -> TakenFeedback:
        """Judge what a person says and keep it; when this returns, the brokers have it.

        Raises:
            UnknownFrameError: no result of the frame is kept.
            BadInputError: it cannot be taken: see ``feedback_rules.judge`` and ``feedback_mask.plain_mask``.
            InspectorError: Kafka or Redis cannot be used now; it may be given again.
        """
        result = self._result(request.frame_id)
        mask = self._plain_mask(request.mask, result) if request.mask is not None else None
        # Only a type is held against the vocabulary; without one, Kafka need not be asked for it.
        product = ProductSettings() if request.defect_type is None else self._products.get(result.product)
        version = None if mask is None else version_of(mask)
        taken = judge(request, result, product, version, self._results.now().astimezone(UTC))
        if mask is not None:
            self._masks.put(mask)  # before the record that names it
        publish_feedback(self._connection, self._topic, taken.feedback)
        return taken

    def book(self) -> FeedbackBook:
        """Return everything said so far. Raises as ``read_feedback``."""
        return read_book(self._connection, self._topic)

    def close(self) -> None:
        """Close; never raises."""
        self._products.close()

    def _result(self, frame_id: str) -> InspectionResult:
        # What is no text, or longer than any id, cannot be asked for.
        askable = is_text(frame_id) and len(frame_id) <= _MAX_ID_CHARS
        result = (self._results.get(frame_id) or self._kept(frame_id)) if askable else None
        if result is not None:
            return result
        kept = self._settings.retention
        if askable and self._results.was_taken(frame_id):
            raise UnknownFrameError(
                "a frame whose result is kept",
                f"{frame_id!r}, which was taken, but its result is gone by retention",
                f"results of good frames stay {kept.good_hours:g} h, of anomalous ones {kept.defect_hours:g} h, and a "
                "limited number of each (retention.*)",
            )
        raise UnknownFrameError(
            "the id of a frame whose result is kept",
            repr(frame_id[:_MAX_ID_CHARS]),
            "see `inspector results CAMERA`; results are gone after a time (retention.*)",
        )

    def _plain_mask(self, png: bytes, result: InspectionResult) -> bytes:
        from inspector.vision.feedback_mask import plain_mask  # OpenCV, which few requests need

        mask = plain_mask(png, result.width_px, result.height_px, model_wiring.decode_limits(self._settings))
        if len(mask) > _MOST_MASK_BYTES:
            raise BadInputError(
                f"a mask that takes at most {_MOST_MASK_BYTES} bytes as black and white PNG",
                f"{len(mask)}",
                "draw areas instead of single pixels, or give boxes",
            )
        return mask
