"""A result is read and tested once while its file is the same, and again when the file has changed."""

import pytest

from resjax.errors import DamagedRecord
from resjax.records import read_result, write_record
from resjax.run.workdir import sound_records
from resjax.run.workdir.sound_records import finished_result, quarantine_damaged
from tests.records.made import done


@pytest.fixture
def replica(tmp_path):
    write_record(tmp_path / "result.json", done())
    return tmp_path


def test_a_result_is_read_once_while_its_file_is_the_same(replica, monkeypatch):
    read = []
    monkeypatch.setattr(sound_records, "read_result", lambda path: (read.append(path), read_result(path))[1])
    assert finished_result(replica) == finished_result(replica) == done()
    assert len(read) == 1
    write_record(replica / "result.json", done())
    assert finished_result(replica) == done()
    assert len(read) == 2


def test_damage_after_a_result_was_read_is_found(replica):
    finished_result(replica)
    text = (replica / "result.json").read_text()
    (replica / "result.json").write_text(text.replace('"parameters": ', '"parameters": 1'))
    with pytest.raises(DamagedRecord):
        finished_result(replica)
    quarantine_damaged(replica)
    assert finished_result(replica) is None and (replica / "result.json.damaged").exists()


def test_a_replica_without_a_result_is_pending(tmp_path):
    assert finished_result(tmp_path) is None and finished_result(tmp_path / "nowhere") is None
