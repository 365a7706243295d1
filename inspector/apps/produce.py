"""``inspector produce``: a source's images as frames on Kafka, at the pace of a line."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog
import uuid_utils

from inspector.adapters.cameras.image import CapturedImage, ImageSource
from inspector.adapters.kafka.publisher import FramePublisher
from inspector.apps import console, wiring
from inspector.apps.produce_telemetry import camera_telemetry
from inspector.apps.sources import open_source
from inspector.apps.stopping import stop_event
from inspector.domain.errors import BadInputError, InspectorError, ServiceUnavailableError
from inspector.domain.frame import FrameMeta
from inspector.pipeline.frame_record import MAX_ID_CHARS
from inspector.settings import Settings
from inspector.simulator.truth import TruthWriter

_log = structlog.get_logger()

_FLUSH_TIMEOUT_S = 30.0
# When told to stop: what Kafka has not taken by then is on disk for the next start.
_STOP_TIMEOUT_S = 2.0
_STOP_LOOK_S = 0.2
# A first connection may take five seconds: shorter waits are no news, and longer ones not every second.
_TELL_WAITING_S = 8.0
# After a hiccup a line catches up on at most this much; more would be a burst that no camera makes.
_CATCH_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """What to publish. ``rate`` is frames per second, None: as they come. Empty ``product``, ``line``: the camera's."""

    source: str
    camera_id: str
    rate: float | None = None
    limit: int | None = None
    loop: bool = False
    product: str = ""
    line: str = ""
    truth_dir: Path | None = None
    as_json: bool = False


class Pacer:
    """Lets one frame through every ``1 / rate`` seconds of a monotonic clock."""

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = 0.0 if rate is None else 1 / rate
        self._clock = clock
        self._due_s = clock()

    def wait(self, stop: threading.Event) -> None:
        """Wait for the next frame's time, or until told to stop."""
        left_s = self._due_s - self._clock()
        if left_s > 0:
            stop.wait(left_s)
        self._due_s = max(self._due_s + self._interval_s, self._clock() - _CATCH_UP_S)


def run(settings: Settings, request: Request) -> None:
    """Publish until the source ends, the limit is reached or we are told to stop; then flush and say what became of it.

    Raises:
        BadInputError: the source or an id is not what it should be, or there is no such topic.
        CredentialsError: the brokers refuse us.
        ServiceUnavailableError: Kafka stayed away; what it has not taken waits in the spool for the next start.
    """
    for name, text in (("--camera", request.camera_id), ("--product", request.product), ("--line", request.line)):
        _check_id(name, text, empty_is_fine=name != "--camera")
    began_s = time.monotonic()
    with ExitStack() as stack:
        stop = stack.enter_context(stop_event())
        truth = None if request.truth_dir is None else TruthWriter(request.truth_dir, request.camera_id)
        if truth is not None:
            stack.callback(truth.close)
        source = open_source(request.source, loop=request.loop, limit=request.limit, truth=truth)
        stack.callback(source.close)
        refusals: list[str] = []
        telemetry = stack.enter_context(camera_telemetry(settings, request.camera_id))

        def refused(problem: str) -> None:
            telemetry.refused()
            refusals.append(problem)

        publisher = wiring.publisher(
            settings, request.camera_id, lambda _, error: _refused(refused, error), telemetry.acknowledged
        )
        telemetry.watch(publisher)
        stack.callback(publisher.close, 0.0)
        threading.Thread(target=_close_when_told, args=(stop, source), name="stop-watch", daemon=True).start()
        with console.progress(f"{request.camera_id}: publishing", request.limit) as meter:
            for image in _paced(source, Pacer(request.rate), stop):
                if (problem := _left_out(image, settings.limits.max_frame_bytes)) is None:
                    _publish(publisher, image, request, telemetry.traceparent, stop)
                else:
                    _log.warning("left out", camera_id=request.camera_id, problem=problem)
                    refused(problem)
                meter.advance()
                counts = publisher.counts
                meter.describe(f"{request.camera_id}: {counts.acked} published, {counts.spooled} on disk")
            meter.describe(f"{request.camera_id}: waiting for Kafka's word")
            done = _flush(publisher, stop)
        stop.set()
        counts = publisher.counts
    _report(request, counts.acked, counts.waiting + counts.spooled, len(refusals), time.monotonic() - began_s)
    if not done:
        kept_in = wiring.spool_dir(settings, request.camera_id)
        raise ServiceUnavailableError(
            f"Kafka at {settings.kafka.bootstrap_servers} to take every frame before the end",
            f"{counts.acked} taken, {counts.waiting + counts.spooled} kept in {kept_in}",
            "bring Kafka back and produce again with the same camera: the kept frames go first",
        )
    if refusals:
        raise BadInputError(
            "frames that Kafka takes", f"{len(refusals)} refused, the first: {refusals[0]}", "see the log"
        )


def _paced(source: ImageSource, pacer: Pacer, stop: threading.Event) -> Iterator[CapturedImage]:
    """Yield images at their times. It waits before it takes one: an image is captured when it is taken."""
    images = iter(source)
    while not stop.is_set():
        pacer.wait(stop)
        image = None if stop.is_set() else next(images, None)
        if image is None:
            return
        yield image


def _flush(publisher: FramePublisher, stop: threading.Event) -> bool:
    """Wait until Kafka has taken everything; False if it has not in time, which is short once told to stop."""
    ends_s = time.monotonic() + _FLUSH_TIMEOUT_S
    told = False
    while not publisher.flush(_STOP_LOOK_S):
        now_s = time.monotonic()
        if stop.is_set() and not told:
            told, ends_s = True, min(ends_s, now_s + _STOP_TIMEOUT_S)
        if now_s >= ends_s:
            return False
    return True


def _close_when_told(stop: threading.Event, source: ImageSource) -> None:
    # A live camera may be silent for long: closing it is what ends the wait for its next frame.
    stop.wait()
    source.close()


def _left_out(image: CapturedImage, max_frame_bytes: int) -> str | None:
    if len(image.image) <= max_frame_bytes:
        return None
    return f"{image.name}: {len(image.image)} bytes, limits.max_frame_bytes is {max_frame_bytes}"


def _publish(
    publisher: FramePublisher,
    image: CapturedImage,
    request: Request,
    traceparent: Callable[[str], str | None],
    stop: threading.Event,
) -> None:
    frame_id = image.frame_id or str(uuid_utils.uuid7())
    meta = FrameMeta(
        frame_id=frame_id,
        camera_id=request.camera_id,
        line_id=request.line,
        product=request.product,
        captured_at=image.captured_at,
        content_type=image.content_type,
        part_id=image.part_id,
        lot=image.lot,
        view=image.view,
        traceparent=traceparent(frame_id),
    )
    tell_at_s = time.monotonic() + _TELL_WAITING_S
    while not stop.is_set():
        try:
            publisher.publish(image.image, meta)
        except ServiceUnavailableError as error:
            if time.monotonic() >= tell_at_s:
                _log.warning("waiting", camera_id=request.camera_id, problem=str(error))
                tell_at_s = time.monotonic() + _TELL_WAITING_S
        else:
            return


def _refused(refused: Callable[[str], None], error: InspectorError) -> None:
    _log.error("refused", problem=str(error))
    refused(str(error))


def _report(request: Request, published: int, waiting: int, refused: int, seconds: float) -> None:
    facts = {
        "camera_id": request.camera_id,
        "published": published,
        "waiting": waiting,
        "refused": refused,
        "seconds": round(seconds, 3),
        "frames_per_s": round(published / max(seconds, 1e-9), 2),
    }
    if request.as_json:
        console.print_json(facts)
    else:
        rest = f", {waiting} waiting on disk" if waiting else ""
        left_out = f", {refused} refused" if refused else ""
        console.lines([f"{request.camera_id}: {published} frames published in {seconds:.1f} s{rest}{left_out}"])


def _check_id(name: str, text: str, *, empty_is_fine: bool) -> None:
    if not text and empty_is_fine:
        return
    if not text or len(text) > MAX_ID_CHARS or not text.isprintable() or text.strip() != text:
        raise BadInputError(
            f"{name} of 1 to {MAX_ID_CHARS} printable characters", repr(text[:200]), "choose another name"
        )
