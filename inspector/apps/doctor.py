"""``inspector doctor``: is everything there that the line needs, and if not, what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import yaml

from inspector.adapters.kafka import connection as kafka
from inspector.adapters.kafka.topics import check_topics
from inspector.adapters.redis import doctor as redis
from inspector.apps import console, model_wiring, wiring
from inspector.domain.errors import InspectorError
from inspector.domain.text import shortened
from inspector.settings import Settings

_TIMEOUT_S = 5.0


class Status(StrEnum):
    """How a check ended; only ``fail`` keeps the line from running."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. ``do`` is empty where nothing is to be done."""

    check: str
    status: Status
    found: str
    do: str = ""


Check = Callable[[Settings], Iterator[Finding]]

_STYLES = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red"}


def run(settings: Settings, as_json: bool) -> bool:
    """Run all checks and print what they found; return whether none failed."""
    findings: list[Finding] = []
    with console.progress("checking", len(_CHECKS)) as meter:
        for name, check in _CHECKS.items():
            meter.describe(name)
            failed = {finding.check for finding in findings if finding.status is Status.FAIL}
            if (needed := _NEEDS.get(name)) in failed:
                # Asking again would only wait for the same silence.
                findings.append(Finding(name, Status.FAIL, f"not checked without {needed}", f"mend {needed} first"))
            else:
                findings += _guarded(name, check, settings)
            meter.advance()
    healthy = all(finding.status is not Status.FAIL for finding in findings)
    if as_json:
        console.print_json({"healthy": healthy, "findings": [asdict(finding) for finding in findings]})
        return healthy
    made = console.table("", "check", "found", "do")
    for finding in findings:
        made.add_row(
            console.cell(finding.status.value, _STYLES[finding.status]),
            console.cell(finding.check),
            console.cell(finding.found),
            console.cell(finding.do),
        )
    console.print_table(made)
    return healthy


def show_settings(settings: Settings, as_json: bool) -> None:
    """Print the effective settings as YAML or JSON; secrets are masked."""
    effective = settings.model_dump(mode="json")
    print(json.dumps(effective) if as_json else yaml.safe_dump(effective, sort_keys=False), end="\n" if as_json else "")


def _guarded(name: str, check: Check, settings: Settings) -> list[Finding]:
    found = []
    try:
        for finding in check(settings):
            found.append(finding)  # noqa: PERF402  what came before an error counts too
    except InspectorError as error:
        found.append(Finding(name, Status.FAIL, f"expected {error.expected}, got {shortened(error.got)}", error.do))
    return found


def _kafka(settings: Settings) -> Iterator[Finding]:
    facts = kafka.check(wiring.kafka_connection(settings), _TIMEOUT_S)
    yield Finding("kafka", Status.OK, f"Kafka {facts.version} or newer: {', '.join(facts.brokers)}")


def _topics(settings: Settings) -> Iterator[Finding]:
    differences = check_topics(wiring.kafka_connection(settings), wiring.topic_plan(settings))
    for difference in differences:
        missing = difference.setting == "topic"
        yield Finding(
            "topics",
            Status.FAIL if missing else Status.WARN,
            str(difference),
            "run `inspector topics create`" if missing else "change the topic (kafka-configs) or the setting",
        )
    if not differences:
        yield Finding("topics", Status.OK, "all there, as the settings describe them")


def _redis(settings: Settings) -> Iterator[Finding]:
    report = redis.check(
        settings.redis.url.get_secret_value(),
        timeout_s=settings.redis.timeout_s,
        access=wiring.redis_access(settings),
    )
    yield Finding("redis", Status.OK, f"Redis {report.version}{f', {report.place}' if report.place else ''}")
    for sentence in report.findings:
        found, _, todo = sentence.rpartition(": ") if sentence.count(": ") == 1 else (sentence, "", "")
        yield Finding("redis", Status.WARN, found or sentence, todo)


def _device(settings: Settings) -> Iterator[Finding]:
    import torch

    spec = model_wiring.model_spec(settings)
    device, available = spec.device, torch.cuda.is_available()
    if available and not device.startswith("cuda"):
        name = torch.cuda.get_device_name(0)
        yield Finding("device", Status.WARN, f"{device} is set, {name} is idle", "set model.device to cuda")
    else:
        scores_in = f"scores in {spec.engine} {spec.precision}"
        found = f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {scores_in}"
        yield Finding("device", Status.OK, found)


def _model(settings: Settings) -> Iterator[Finding]:
    from inspector.dapo.backbone import backbone_id
    from inspector.dapo.clip import build_clip, model_shape
    from inspector.dapo.downloads import download_of
    from inspector.dapo.spec import RANDOM
    from inspector.dapo.visual_tower import VisualTower

    spec = model_wiring.model_spec(settings)
    shape = model_shape(spec)
    size = f"{spec.name} / {spec.pretrained} at {shape.image_size_px} px, {shape.grid[0]}x{shape.grid[1]} patches"
    if (source := download_of(spec)) is not None:
        # Not by this check, which nobody would expect to take minutes.
        found = f"{size}: its weights are not on this machine, the first start downloads them from {source}"
        yield Finding("model", Status.WARN, found, "start it once where that can be reached, or set model.pretrained")
        return
    VisualTower(build_clip(spec).visual, shape)  # which not every tower that a model may have is
    if spec.pretrained == RANDOM:
        todo = "set model.pretrained to bundled, or enrol every camera"
        yield Finding("model", Status.WARN, f"{size}: not pretrained", todo)
    else:
        yield Finding("model", Status.OK, f"{size}, {_shortened_digest(backbone_id(spec))}")


def _region_types(settings: Settings) -> Iterator[Finding]:
    _, manifest = model_wiring.prompt_weights(settings)
    spec = model_wiring.region_types_spec(settings, manifest)
    if spec is None:
        yield Finding("region types", Status.OK, f"by the type map of {settings.model.name}")
        return
    model_wiring.region_types(settings, manifest)
    version = model_wiring.region_types_id(settings, manifest).rpartition(" ")[2]
    yield Finding("region types", Status.OK, f"by closer looks of {spec.name}, version {version[:12]}")


def _weights(settings: Settings) -> Iterator[Finding]:
    path = model_wiring.weights_file(settings)
    if path is None:
        yield Finding("weights", Status.WARN, model_wiring.UNTRAINED, "set model.weights, or enrol every camera")
        return
    _, manifest = model_wiring.load_prompt_weights(settings, path)
    name = f"{path if settings.model.weights else 'bundled'}, version {manifest.version[:12]}"
    if not manifest.trained:
        todo = "use trained weights, or enrol every camera"
        yield Finding("weights", Status.WARN, f"{name}: {model_wiring.UNTRAINED}", todo)
        return
    tuned_on = ", ".join(manifest.tuned_on) or "data they do not name"
    found = f"{name}, tuned on {tuned_on}, whose good images set the thresholds"
    yield Finding("weights", Status.OK, f"{found}; types: {', '.join(manifest.vocabulary)}")


def _shortened_digest(identity: str) -> str:
    """Return an identity of weights with its SHA-256, where it has one, in twelve digits."""
    kind, _, digest = identity.partition(" ")
    return f"{kind} {digest[:12]}" if kind == "sha256" else identity


def _spool(settings: Settings) -> Iterator[Finding]:
    folder = _existing(settings.spool.dir)
    free = _free_bytes(folder)
    if free < settings.spool.max_bytes:
        found = f"{free / 2**30:.1f} GiB free for a spool of {settings.spool.max_bytes / 2**30:.1f} GiB in {folder}"
        yield Finding("spool", Status.WARN, found, "make room, or lower spool.max_bytes")
    else:
        yield Finding("spool", Status.OK, f"{settings.spool.dir}, {free / 2**30:.1f} GiB free")


def _existing(folder: Path) -> Path:
    absolute = folder.absolute()
    return next(place for place in (absolute, *absolute.parents) if place.exists())


def _free_bytes(folder: Path) -> int:
    import shutil

    return shutil.disk_usage(folder).free


_CHECKS: dict[str, Check] = {
    "kafka": _kafka,
    "topics": _topics,
    "redis": _redis,
    "device": _device,
    "model": _model,
    "weights": _weights,
    "region types": _region_types,
    "spool": _spool,
}
_NEEDS = {"topics": "kafka", "model": "device", "weights": "device", "region types": "device"}
