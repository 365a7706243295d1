"""``inspector topics``: create what is missing, tell what differs from the settings."""

from __future__ import annotations

from inspector.adapters.kafka.topics import check_topics, create_topics, grow_topics
from inspector.apps import console, wiring
from inspector.domain.errors import BadInputError
from inspector.settings import Settings


def create(settings: Settings, as_json: bool) -> None:
    """Create the missing topics; those that exist are left as they are. Raises as ``create_topics``."""
    plan = wiring.topic_plan(settings)
    created = create_topics(wiring.kafka_connection(settings), plan)
    existed = [spec.name for spec in plan.specs() if spec.name not in created]
    if as_json:
        console.print_json({"created": created, "existed": existed})
        return
    console.lines([*(f"created {name}" for name in created), *(f"exists  {name}" for name in existed)])


def grow(settings: Settings, as_json: bool) -> None:
    """Give the topics of frames, alerts and dead letters the partitions of the settings. Raises as ``grow_topics``."""
    with console.status("waiting whether frames come"):
        grown = grow_topics(wiring.kafka_connection(settings), wiring.topic_plan(settings), settings.kafka.group)
    if as_json:
        console.print_json({"grown": grown, "partitions": settings.kafka.partitions})
        return
    console.lines([f"grown to {settings.kafka.partitions} partitions: {name}" for name in grown] or ["nothing to do"])


def check(settings: Settings, as_json: bool) -> None:
    """Compare the topics with the settings.

    Raises:
        BadInputError: something differs.
        InspectorError: as ``check_topics``.
    """
    plan = wiring.topic_plan(settings)
    findings = check_topics(wiring.kafka_connection(settings), plan)
    names = [spec.name for spec in plan.specs()]
    if as_json:
        facts = [{"topic": f.topic, "setting": f.setting, "expected": f.expected, "got": f.got} for f in findings]
        console.print_json({"topics": names, "findings": facts})
    else:
        differing = {finding.topic for finding in findings}
        console.lines([f"ok      {name}" for name in names if name not in differing])
        console.lines([f"differs {finding}" for finding in findings])
    if findings:
        raise BadInputError(
            "the topics as the settings describe them",
            f"{len(findings)} differences, the first {findings[0].topic}: {findings[0].setting} is {findings[0].got}",
            "run `inspector topics create` for missing ones, kafka-configs or kafka-topics for the others",
        )
