"""``reconcile`` on real Kafka and Redis: what is lost is mended, what is there stays, no alert comes twice."""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import frames
import pytest
import redis
from findings import Findings
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from line import running_line, wait_for
from local_services import ROOT, Services
from prometheus_client.parser import text_string_to_metric_families
from small_line import SmallLine, small_line
from stub_engine import StubEngine

from inspector import settings as settings_of
from inspector.adapters.kafka.committed import committed_ranges
from inspector.adapters.kafka.connection import admin_client
from inspector.adapters.redis import keys
from inspector.adapters.telemetry.instruments import Instruments
from inspector.apps import model_wiring, wiring
from inspector.apps import reconcile as verb
from inspector.apps.console import print_table
from inspector.apps.watch import OutcomeLooks
from inspector.domain.errors import BadInputError, ServiceUnavailableError
from inspector.domain.metrics import Part, metrics_of
from inspector.domain.result import InspectionResult, PredLabel
from inspector.pipeline import alert_record
from inspector.pipeline.alert_record import make_alert
from inspector.pipeline.ports import OutRecord
from inspector.pipeline.reconciliation import FindingKind
from inspector.settings.telemetry import WatchSettings

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

Reconcile = Callable[..., dict[str, Any]]


@pytest.fixture
def reconcile(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Reconcile:
    """The verb in this process, with the stub in the scorer's place; returns its JSON."""
    monkeypatch.setattr(model_wiring, "engine", lambda _settings: StubEngine())

    def run(line: SmallLine, *, repair: bool = False, since: str | None = None, camera: str | None = None) -> Any:
        consistent = verb.run(settings_of.load(line.line.config), since, camera, repair, True)
        document = json.loads(capsys.readouterr().out)
        assert document["consistent"] is consistent
        return document

    return run


@pytest.fixture(scope="module")
def shared(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLine]:
    """A line that has served; tests damage it and must leave it mended."""
    prefix = f"t-{uuid.uuid4().hex[:12]}-"
    with small_line(services, tmp_path_factory.mktemp("reconcile"), prefix) as line:
        serve(line, 240)
        yield line


def serve(line: SmallLine, frames: int) -> None:
    """Publish frames, one in ten of them to be rejected, and let a worker take them all and leave."""
    first = line.published
    line.publish(frames, rejected=range(first, first + frames, 10))
    worker = line.start("a")
    line.line.wait_drained()
    worker.terminate()
    assert worker.wait(60) == 0


def client_of(line: SmallLine) -> redis.Redis:
    return redis.Redis.from_url(line.line.redis_url)


def lose(line: SmallLine, result: InspectionResult) -> None:
    """Take a frame out of Redis as if its script had never run: what a log cut short leaves."""
    client, frame_id, camera_id = client_of(line), result.frame_id, result.camera_id
    client.delete(keys.result(frame_id), keys.seen(frame_id), keys.overlay(frame_id), keys.frame(frame_id))
    for listed in (keys.good_index, keys.good_arrivals, keys.defect_index, keys.defect_arrivals):
        client.zrem(listed(camera_id), frame_id)


def alerts_of(line: SmallLine) -> Counter[str]:
    return Counter(alert.frame_id for alert in line.line.alerts())


def clean(found: Findings) -> bool:
    print_table(found.as_table())
    return found.clean


def skip(line: SmallLine) -> None:
    """Commit the group past everything that is published, as a bug would, or a person."""
    topic, group = line.line.frames_topic, f"{line.line.prefix}group"
    consumer = KafkaConsumer(
        bootstrap_servers=line.line.services.kafka_bootstrap, group_id=group, enable_auto_commit=False
    )
    parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(parts)
    ends = consumer.end_offsets(parts)
    consumer.commit({part: OffsetAndMetadata(ends[part], "", -1) for part in parts})
    consumer.close(autocommit=False)


def send(line: SmallLine, record: OutRecord) -> None:
    producer = KafkaProducer(bootstrap_servers=line.line.services.kafka_bootstrap)
    producer.send(record.topic, value=record.value, key=record.key, headers=list(record.headers)).get(30)
    producer.close()


def test_a_line_that_lost_nothing_is_consistent(shared: SmallLine, reconcile: Reconcile) -> None:
    document = reconcile(shared)
    assert document["frames"] == 240
    assert (document["found"], document["gone_by_retention"]) == ({}, 0)
    done = shared.line.run("reconcile")
    assert "all fits" in done.stdout
    assert "240 committed frames" in done.stdout


def test_a_watch_sees_what_was_committed_late_and_tells_of_it_until_it_is_mended(
    shared: SmallLine, reconcile: Reconcile
) -> None:
    """Frames that waited for a night are older than its window; so is a gap that nobody has mended for an hour."""
    settings = settings_of.load(shared.line.config).model_copy(update={"watch": WatchSettings(reconcile_hours=1e-9)})
    made, looks = Instruments(metrics_of(Part.WATCH), with_process=False), OutcomeLooks()

    def look() -> tuple[float, dict[str, float]]:
        looks.look_at_outcomes(settings, made)
        families = text_string_to_metric_families(made.text().decode())
        samples = {(s.name, *s.labels.values()): s.value for each in families for s in each.samples}
        found = {kind.value: samples["inspector_reconcile_findings", kind.value] for kind in FindingKind}
        return samples["inspector_reconcile_frames",], {kind: count for kind, count in found.items() if count}

    before = shared.line.results().keys()
    shared.publish(60)
    assert look() == (0, {})
    worker = shared.start("a")
    shared.line.wait_drained()
    worker.terminate()
    assert worker.wait(60) == 0
    late = {frame_id: result for frame_id, result in shared.line.results().items() if frame_id not in before}
    first, last = min(late), max(late)
    for frame_id in (first, last):
        lose(shared, late[frame_id])
    missing = Counter(
        "result_missing" if late[frame_id].pred_label is PredLabel.ANOMALOUS else "no_outcome"
        for frame_id in (first, last)
    )

    assert look() == (60, missing), "all that was committed since the look before"
    for _ in range(2):  # nothing is committed meanwhile, nothing is mended
        frames, found = look()
        assert found == missing
        assert frames < 60, "the places of findings, not all of it again"
    assert reconcile(shared, repair=True)["consistent"]
    assert look()[1] == {}
    assert look() == (0, {}), "what is mended is not looked at any more"


def test_results_that_redis_lost_are_stored_again_and_no_alert_is_sent_twice(
    shared: SmallLine, reconcile: Reconcile
) -> None:
    before, alerts = shared.line.results(), alerts_of(shared)
    lost = sorted(before)[-60:]
    for frame_id in lost[:50]:
        lose(shared, before[frame_id])
    client_of(shared).delete(*(keys.result(frame_id) for frame_id in lost[50:]))
    anomalous = sum(before[frame_id].pred_label is PredLabel.ANOMALOUS for frame_id in lost)
    assert 0 < anomalous < 60

    report = reconcile(shared)
    assert report["found"] == {"no_outcome": 60 - anomalous, "result_missing": anomalous}
    assert report["left"] == report["found"]
    assert shared.line.results().keys() == before.keys() - set(lost)  # a report changes nothing
    assert shared.line.run("reconcile", check=False).returncode == 1

    mended = reconcile(shared, repair=True)
    assert mended["repaired"] == report["found"]
    assert mended["consistent"]
    after = shared.line.results()
    assert after.keys() == before.keys()
    assert {frame_id for frame_id in after if after[frame_id].repaired_at} == set(lost)
    for frame_id in lost:
        same = ("source", "pred_label", "anomaly_score", "camera_id", "captured_at", "defects")
        assert all(getattr(after[frame_id], name) == getattr(before[frame_id], name) for name in same)
    assert alerts_of(shared) == alerts
    assert reconcile(shared, repair=True)["found"] == {}
    assert clean(shared.check())


def test_a_result_that_its_cameras_lists_leave_out_is_listed_again(shared: SmallLine, reconcile: Reconcile) -> None:
    before = shared.line.results()
    chosen = [before[frame_id] for frame_id in sorted(before)[5:40:5]]
    client = client_of(shared)
    for number, result in enumerate(chosen):
        kind = ("good", "defect")[result.pred_label is PredLabel.ANOMALOUS]
        client.zrem(f"inspection:{('index', 'arrivals')[number % 2]}:{kind}:{result.camera_id}", result.frame_id)
    texts = [client.get(keys.result(result.frame_id)) for result in chosen]
    assert reconcile(shared)["found"] == {"result_not_indexed": len(chosen)}
    assert reconcile(shared, repair=True)["consistent"]
    assert shared.line.results() == before
    assert [client.get(keys.result(result.frame_id)) for result in chosen] == texts
    assert reconcile(shared)["found"] == {}


def test_frames_that_were_passed_over_are_inspected_and_alerts_that_were_never_sent_are(
    shared: SmallLine, reconcile: Reconcile
) -> None:
    alerts = alerts_of(shared)
    shared.publish(40, rejected=range(shared.published, shared.published + 40, 10), anomalous_only=True)
    skip(shared)
    found = reconcile(shared)
    assert found["found"] == {"no_outcome": 40}
    assert found["findings"][0]["source"]["topic"] == shared.line.frames_topic

    # A repair that is cut short between Redis and Kafka: results are there, their alerts are not.
    def cut_short(_log: object, records: list[OutRecord]) -> None:
        if records:
            raise ServiceUnavailableError("Kafka", "none", "wait")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inspector.adapters.kafka.repair_log.RepairLog.publish", cut_short)
        with pytest.raises(ServiceUnavailableError):
            reconcile(shared, repair=True)
    found = reconcile(shared)["found"]
    assert found["alert_missing"] >= 1
    assert found["alert_missing"] + found["no_outcome"] == 40

    assert reconcile(shared, repair=True)["consistent"]
    late = [alert for alert in shared.line.alerts() if alert.frame_id not in alerts]
    assert len(late) == 36
    assert all(alert.repaired_at for alert in late)
    assert reconcile(shared, repair=True)["found"] == {}
    assert clean(shared.check())


def test_it_looks_only_where_it_is_told_to(shared: SmallLine, reconcile: Reconcile) -> None:
    chosen = next(result for result in shared.line.results().values() if result.camera_id == "cam3")
    lose(shared, chosen)
    assert reconcile(shared, camera="cam4")["found"] == {}
    assert reconcile(shared, since="2199-01-01")["frames"] == 0
    one = reconcile(shared, camera="cam3", since="1h", repair=True)
    assert sum(one["repaired"].values()) == 1
    assert 0 < one["frames"] < shared.published / 4
    with pytest.raises(BadInputError, match="a time or a duration"):
        reconcile(shared, since="yesterday")


def test_a_group_that_committed_nothing_is_no_line_that_lost_nothing(shared: SmallLine, reconcile: Reconcile) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSPECTOR_KAFKA__GROUP", f"{shared.line.prefix}grup")
        with pytest.raises(BadInputError, match=r"correct kafka\.group"):
            reconcile(shared)


@pytest.mark.parametrize(
    "away", ["INSPECTOR_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:9", "INSPECTOR_REDIS__URL=redis://127.0.0.1:9/0"]
)
def test_a_service_that_is_away_is_told_in_one_line(shared: SmallLine, away: str) -> None:
    variable, _, value = away.partition("=")
    done = shared.line.run("reconcile", "--repair", check=False, **{variable: value})
    assert done.returncode == 1
    (problem,) = done.stderr.splitlines()
    assert problem.startswith("error: expected ")
    assert "127.0.0.1:9" in problem


def test_the_rights_of_its_role_suffice(
    shared: SmallLine, reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch, topic_prefix: str
) -> None:
    spec = spec_from_file_location("access", ROOT / "deploy" / "security" / "access.py")
    assert spec is not None
    assert spec.loader is not None
    monkeypatch.setitem(sys.modules, "access", access := module_from_spec(spec))  # its dataclasses look there
    spec.loader.exec_module(access)
    admin = client_of(shared)
    admin.execute_command("ACL", "SETUSER", topic_prefix, "on", ">secret", *access.redis_rules("reconcile"))
    try:
        good, bad = (
            next(each for each in shared.line.results().values() if each.pred_label is label) for label in PredLabel
        )
        lose(shared, good)
        admin.zrem(keys.defect_index(bad.camera_id), bad.frame_id)
        monkeypatch.setenv("INSPECTOR_REDIS__USERNAME", topic_prefix)
        monkeypatch.setenv("INSPECTOR_REDIS__PASSWORD", "secret")
        mended = reconcile(shared, repair=True)
        assert mended["repaired"] == {"no_outcome": 1, "result_not_indexed": 1}
        assert mended["consistent"]
    finally:
        admin.execute_command("ACL", "DELUSER", topic_prefix)


def test_a_repair_while_the_line_runs_overwrites_nothing_and_sends_nothing_twice(
    services: Services, tmp_path: Path, topic_prefix: str, reconcile: Reconcile
) -> None:
    with small_line(services, tmp_path, topic_prefix) as line:
        line.start("a", "--score-ms", "20")
        over = threading.Event()

        def produce() -> None:
            while not over.is_set():
                line.publish(40, rejected=range(line.published, line.published + 40, 10))
                time.sleep(0.2)

        producing = threading.Thread(target=produce)
        producing.start()
        try:
            lost: set[str] = set()
            for _ in range(2):
                wait_for(lambda: len(fresh(line, lost)) >= 20, 120, line.line.logs)
                for result in fresh(line, lost):
                    lose(line, result)
                    lost.add(result.frame_id)
                reconcile(line, repair=True)
        finally:
            over.set()
            producing.join()
        line.line.wait_drained()
        assert reconcile(line)["found"] == {}
        repaired = {result.frame_id for result in line.line.results().values() if result.repaired_at}
        assert repaired == lost
        assert clean(line.check())


def fresh(line: SmallLine, lost: set[str]) -> list[InspectionResult]:
    """Return the last results of frames that are committed and were not lost before."""
    ranges = committed_ranges(line.line.connection, f"{line.line.prefix}group", line.line.frames_topic)
    ends = {part.partition: part.end for part in ranges}
    results = [each for each in line.line.results().values() if each.frame_id not in lost]
    return [each for each in results[-40:] if each.source.offset < ends.get(each.source.partition, 0)]


def test_what_cannot_be_mended_is_told_and_left_alone(
    services: Services, tmp_path: Path, topic_prefix: str, reconcile: Reconcile
) -> None:
    with small_line(services, tmp_path, topic_prefix) as line:
        line.publish(80, anomalous_only=True)
        serve(line, 80)
        client, results = client_of(line), line.line.results()
        by_place = sorted(results.values(), key=lambda result: result.source)
        first = by_place[0].source.partition
        (gone, alone, *_) = [result for result in by_place if result.source.partition == first]
        (twice, differing, both, *_) = [result for result in by_place if result.source.partition != first]
        # The first two frames of a partition go by retention: one has lost its result, one never had its alert.
        with admin_client(line.line.connection) as admin:
            admin.delete_records({TopicPartition(line.line.frames_topic, first): alone.source.offset + 1})
        lose(line, gone)
        store_without_alert(line, alone)
        # Results of frames gone from Kafka: one of another version, one that is no result, one that has expired.
        source = {"topic": line.line.frames_topic, "partition": first, "offset": -2}
        newer = {"schema": "inspection.result/2", "camera_id": alone.camera_id, "source": source}
        client.set(keys.result("newer"), json.dumps(newer))
        client.set(keys.result("broken"), "{")
        defects = keys.defect_index(alone.camera_id)
        client.zadd(defects, {"newer": 0, "broken": 0, "expired": 0})
        send(line, alert_record.encode(make_alert(twice), f"{line.line.prefix}alerts"))
        client.set(keys.result(differing.frame_id), json.dumps(changed(client, differing, anomaly_score=0.501)))
        send(line, letter(line, both))

        found = reconcile(line)["found"]
        assert client.zscore(defects, "expired") is not None  # a report changes nothing
        assert found["alert_missing"] == 1
        # When it was inspected, only the inspector's clock says, and that may be days ahead: its alert may be older.
        assert "alert_missing" not in reconcile(line, since="1h")["found"]

        report = reconcile(line, repair=True)
        left = {"result_missing": 1, "alert_repeated": 1, "alert_differs": 1, "two_outcomes": 1, "result_unreadable": 1}
        assert report["left"] == left
        assert report["repaired"] == {"alert_missing": 1}
        told = {finding["kind"]: finding for finding in report["findings"]}
        assert "gone from Kafka by retention" in told["result_missing"]["detail"]
        assert told["result_missing"]["frame_id"] == gone.frame_id
        assert "0.501" in told["alert_differs"]["detail"]
        assert "undecodable" in told["two_outcomes"]["detail"]
        assert told["alert_missing"]["frame_id"] == f"{alone.frame_id}-unsaid"
        assert reconcile(line, repair=True)["found"] == left
        done = line.line.run("reconcile", "--repair", check=False)
        assert done.returncode == 1
        assert "gone from Kafka by retention" in done.stdout

        # A broken alert is none, and ends nothing.
        send(line, OutRecord(f"{line.line.prefix}alerts", b"cam1", b'{"schema": "inspection.alert/1.3", "who": "?"}'))
        assert reconcile(line)["found"] == left

        # An alert of a later major version may be any frame's: nothing is judged missing, and nothing sent.
        send(line, OutRecord(f"{line.line.prefix}alerts", b"cam1", b'{"schema": "inspection.alert/2", "who": "?"}'))
        with pytest.raises(BadInputError, match="upgrade"):
            reconcile(line, repair=True)


def changed(client: redis.Redis, result: InspectionResult, **changes: object) -> dict[str, Any]:
    return {**json.loads(client.get(keys.result(result.frame_id))), **changes}


def store_without_alert(line: SmallLine, result: InspectionResult) -> None:
    """Give Redis an anomalous result of a committed frame below the oldest kept that no alert was sent for."""
    from dataclasses import replace

    from inspector.domain.outcome import Inspected

    # A place between two frames that no frame has, as its own alert is out.
    source = replace(result.source, offset=-1)
    unsaid = replace(result, frame_id=f"{result.frame_id}-unsaid", source=source)
    wiring.result_store(settings_of.load(line.line.config)).restore([Inspected(source, unsaid, None)])


def letter(line: SmallLine, result: InspectionResult) -> OutRecord:
    from inspector.domain.outcome import Rejected, RejectReason
    from inspector.pipeline import dead_letter

    rejected = Rejected(result.source, RejectReason.UNDECODABLE, "planted", b"x", frame_id=result.frame_id)
    return dead_letter.encode(rejected, f"{line.line.prefix}dead-letter", 1000)


@pytest.mark.long
def test_what_retention_let_go_is_no_gap(
    services: Services, tmp_path: Path, topic_prefix: str, reconcile: Reconcile
) -> None:
    kept = {"good_per_camera": 4, "defect_per_camera": 2}
    with running_line(services, tmp_path, topic_prefix, batch={"max_size": 8}, retention=kept) as plain:
        line = SmallLine(plain)
        serve(line, 240)
        report = reconcile(line)
        assert report["found"] == {}
        assert report["gone_by_retention"] >= 240 - 24 - 8 * 6
        for result in list(line.line.results().values())[::4]:
            lose(line, result)
        assert sum(reconcile(line)["found"].values()) >= 10
        assert reconcile(line, repair=True)["consistent"]
        assert reconcile(line, repair=True)["found"] == {}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_lost_frames_are_scored_by_the_lines_own_model_and_bank(
    services: Services, tmp_path: Path, topic_prefix: str, tiny_model: str
) -> None:
    model = {"name": tiny_model, "pretrained": "random"}
    with running_line(services, tmp_path, topic_prefix, model=model) as line:
        normal = tmp_path / "normal"
        normal.mkdir()
        for seed in range(12):
            (normal / f"{seed}.jpg").write_bytes(frames.jpeg(frames.part(1000 + seed)))
        line.run("enroll", "cam1", str(normal))
        line.publish(
            {"key": b"cam1", "value": frames.jpeg(frames.part(seed, marked=seed % 3 == 0))} for seed in range(24)
        )
        inspector = line.start_inspector("a")
        line.wait_drained()
        inspector.terminate()
        assert inspector.wait(60) == 0
        before, alerts = line.results(), line.alerts()
        for frame_id in before:
            lose(SmallLine(line), before[frame_id])
        report = json.loads(line.run("reconcile", "--repair", "--json").stdout)
        assert (report["consistent"], sum(report["repaired"].values())) == (True, 24)
        after = line.results()
        assert after.keys() == before.keys()
        for frame_id, result in after.items():
            was = before[frame_id]
            assert (result.mode, result.bank_version, result.pred_label) == (was.mode, was.bank_version, was.pred_label)
            assert result.anomaly_score == pytest.approx(was.anomaly_score, abs=1e-3)
        assert len(line.alerts()) == len(alerts) > 0
