"""The file of a backup, and what is newer than it: damage is told before anything is written."""

import tarfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inspector.adapters.artefacts import version_of
from inspector.apps.backup.archive import reading, writing
from inspector.apps.backup.records import LineRecords, VetoedVersion, missing_from, newer_than
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.errors import BadInputError
from inspector.domain.feedback import Feedback, FeedbackVerdict
from inspector.domain.release import Companion, Rollout, RolloutStage, WeightsRelease
from inspector.domain.result import PredLabel

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
BANK, WEIGHTS, MASK = b"a bank", b"some weights" * 1000, b"a mask"
OF_BANK, OF_WEIGHTS, OF_MASK = (version_of(data) for data in (BANK, WEIGHTS, MASK))
ANNOUNCED = Announcement(ArtefactKind.BANK, "cam1", OF_BANK, NOW, "w2")
RELEASE = WeightsRelease("w2", OF_WEIGHTS, "m", NOW, companions=(Companion(ArtefactKind.BANK, "cam2", OF_BANK),))
ROLLOUT = Rollout(3, "w2", None, RolloutStage.FULL, 0.1, False, "w1", "anna", "better", NOW)
SAID = Feedback(
    "f1", "cam1", "w2", FeedbackVerdict.WRONG, "anna", NOW, PredLabel.NORMAL, defect_type="dent", mask_version=OF_MASK
)
RECORDS = LineRecords((ANNOUNCED,), (RELEASE,), ROLLOUT, (SAID,), (VetoedVersion("w1", "slow", "a", NOW),))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "backup.tar"
    with writing(path, NOW) as writer:
        writer.add_records(RECORDS)
        for name, data in (("artefacts", BANK), ("artefacts", WEIGHTS), ("masks", MASK)):
            writer.add(f"{name}/{version_of(data)}", data)
        writer.finish()
    return path


def test_what_was_kept_is_read_again(file):
    with reading(file) as backup:
        assert backup.records() == RECORDS
        assert list(backup.artefacts("artefacts")) == [BANK, WEIGHTS]
        assert list(backup.artefacts("masks")) == [MASK]


def test_each_thing_that_a_record_names_is_named_once():
    assert RECORDS.artefact_versions() == [OF_BANK, OF_WEIGHTS]
    assert RECORDS.mask_versions() == [OF_MASK]


def test_it_is_for_its_owner_alone_and_replaces_nothing(file):
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(BadInputError, match="replace nothing"), writing(file, NOW):
        pass
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_backup_that_was_cut_short_is_none(file):
    whole = file.read_bytes()
    for size in (0, 600, len(whole) // 2, len(whole) - 12_000):
        file.write_bytes(whole[:size])
        with pytest.raises(BadInputError), reading(file):
            pass


def test_a_changed_byte_is_found_before_anything_is_read(file):
    data = bytearray(file.read_bytes())
    data[data.index(b"some weights") + 5] ^= 1
    file.write_bytes(data)
    with pytest.raises(BadInputError, match="other bytes"), reading(file):
        pass


def test_a_link_in_the_file_is_not_followed(tmp_path):
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as tar:
        link = tarfile.TarInfo("manifest.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(BadInputError), reading(path):
        pass


def test_an_interrupted_backup_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), writing(tmp_path / "backup.tar", NOW):
        raise RuntimeError("killed")
    assert not list(tmp_path.iterdir())


def test_only_what_does_not_stand_there_is_put_back():
    assert missing_from(RECORDS, RECORDS) == LineRecords()
    assert missing_from(LineRecords(), RECORDS) == RECORDS
    renumbered = replace(RECORDS, rollout=replace(ROLLOUT, revision=9))
    assert missing_from(renumbered, RECORDS) == LineRecords()


def test_what_was_decided_after_the_backup_is_newer_and_what_differs_from_before_is_not():
    enrolled = replace(ANNOUNCED, version=OF_MASK)
    for made, newer in ((LATER, 1), (NOW - timedelta(hours=1), 0)):
        standing = replace(RECORDS, announcements=(replace(enrolled, created_at=made),))
        assert len(newer_than(RECORDS, standing)) == newer
    promoted = replace(ROLLOUT, stable_version="w3", decided_at=LATER)
    assert newer_than(RECORDS, replace(RECORDS, rollout=promoted)) == ["the rollout of 2026-11-24 07:00:00"]
    other_camera = replace(RECORDS, announcements=(ANNOUNCED, replace(ANNOUNCED, subject="cam9", created_at=LATER)))
    assert newer_than(RECORDS, other_camera) == []  # it stays as it is
