"""Whether a committed frame's result is kept, gone by retention, or lost (``reconcile``)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

import redis

from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import translated
from inspector.adapters.redis.retention import Retention
from inspector.domain.errors import BadInputError
from inspector.domain.frame import FrameSource
from inspector.domain.records import from_json
from inspector.domain.result import InspectionResult, PredLabel
from inspector.pipeline.reconciliation import StoredFrame, StoredState

_SCRIPT = files(__package__).joinpath("look_up_frame.lua").read_text("utf-8")
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Question:
    """A committed frame. ``anomalous``: an alert says so; ``age_s``: at most so long ago was its result stored."""

    source: FrameSource
    frame_id: str
    camera_id: str
    anomalous: bool
    age_s: float


@dataclass(frozen=True, slots=True)
class Lists:
    """A camera's lists of one verdict: whether the frame stands in them, how many do, where the first one came from."""

    in_index: bool
    in_arrivals: bool
    kept: int
    first: str


class RedisFrameStates:
    """Looks frames up under the line's ``retention``. Raises as ``RedisResults``."""

    def __init__(self, client: redis.Redis, retention: Retention) -> None:
        self._client = client
        self._retention = retention
        self._script = client.register_script(_SCRIPT)

    def look_up(self, questions: Sequence[Question]) -> list[StoredFrame]:
        """Return the state of each frame, in order."""
        if not questions:
            return []
        with translated(self._client), self._client.pipeline(transaction=False) as pipeline:
            pipeline.scripts.add(self._script)  # which loads it where it is not known
            for question in questions:
                names = _keys(question)
                # As read-only: who may write none of these keys may look them up.
                pipeline.evalsha_ro(self._script.sha, len(names), *names, question.frame_id)
            answers = pipeline.execute()
        return [self._state(question, answer) for question, answer in zip(questions, answers, strict=True)]

    def defects(self, camera_id: str) -> Iterator[dict[str, FrameSource | None]]:
        """Yield the ids of a camera's results judged anomalous, some at a time, and which frame each says it is of.

        None: one that cannot be read so far.
        """
        with translated(self._client):
            ids = cast(list[bytes], self._client.zrange(keys.defect_index(camera_id), 0, -1))
        for start in range(0, len(ids), _PAGE):
            page = [frame_id.decode() for frame_id in ids[start : start + _PAGE]]
            with translated(self._client):
                found = cast(list[bytes | None], self._client.mget([keys.result(frame_id) for frame_id in page]))
            origins = {frame_id: _origin(data) for frame_id, data in zip(page, found, strict=True) if data is not None}
            # An expired frame's id may since be another camera's.
            yield {frame_id: source for frame_id, (owner, source) in origins.items() if owner in (None, camera_id)}

    def _state(self, question: Question, answer: Sequence[Any]) -> StoredFrame:
        data, seen = answer[0], answer[1].decode()
        good, defect = _lists(answer[2:6]), _lists(answer[6:10])
        if data:
            try:
                result = from_json(InspectionResult, data)
            except BadInputError as error:
                return StoredFrame(StoredState.UNREADABLE, detail=f"expected {error.expected}, got {error.got}")
            if result.source == question.source:
                own = defect if result.pred_label is PredLabel.ANOMALOUS else good
                listed = own.in_index and own.in_arrivals
                return StoredFrame(StoredState.KEPT if listed else StoredState.NOT_INDEXED, result)
            seen = _place(result.source)
        return StoredFrame(absent(question, seen, defect if question.anomalous else good, self._retention))


def _origin(data: bytes) -> tuple[str | None, FrameSource | None]:
    """Return camera and frame of a result, also of one that is not valid or of another version; None: it says none."""
    try:
        document = json.loads(data)
        return str(document["camera_id"]), from_json(FrameSource, json.dumps(document["source"]))
    except (ValueError, RecursionError, KeyError, TypeError, BadInputError):
        return None, None


def _lists(answer: Sequence[Any]) -> Lists:
    return Lists(bool(answer[0]), bool(answer[1]), int(answer[2]), answer[3].decode())


def absent(question: Question, seen: str, lists: Lists, retention: Retention) -> StoredState:
    """Return why a frame has no result. ``seen``: where a frame of that id was last known to come from, or empty.

    Age comes first. Below the limit of age, a frame that the lists still hold was not let go by the store. One that is
    remembered but not listed was trimmed to the limit of count, which lets the first go first: it was, if the list is
    full or begins after it. One that is not even remembered, as after a day or with the memory lost, was let go only if
    it would be now: a list with room lets nothing go but by age.
    """
    anomalous = question.anomalous
    if question.age_s > (retention.defect_s if anomalous else retention.good_s):
        return StoredState.GONE
    if seen and seen != _place(question.source):
        # Its own time as holder of that id is over once the memory of it ends.
        return StoredState.GONE if question.age_s > retention.duplicate_s else StoredState.HELD_ELSEWHERE
    if lists.in_index or lists.in_arrivals:
        return StoredState.LOST
    full = lists.kept >= (retention.defect_per_camera if anomalous else retention.good_per_camera)
    before = _is_before(question.source, lists.first)
    if seen:
        return StoredState.GONE if full or before else StoredState.LOST
    return StoredState.GONE if before and full else StoredState.LOST


def _is_before(source: FrameSource, first: str) -> bool:
    topic, _, rest = first.partition(":")
    partition, _, offset = rest.partition(":")
    return (topic, partition) == (source.topic, str(source.partition)) and source.offset < int(offset)


def _place(source: FrameSource) -> str:
    return f"{source.topic}:{source.partition}:{source.offset}"


def _keys(question: Question) -> list[str]:
    camera_id, frame_id = question.camera_id, question.frame_id
    return [
        keys.result(frame_id),
        keys.seen(frame_id),
        keys.good_index(camera_id),
        keys.defect_index(camera_id),
        keys.good_arrivals(camera_id),
        keys.defect_arrivals(camera_id),
    ]
