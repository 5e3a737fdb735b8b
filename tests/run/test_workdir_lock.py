"""One writer a workdir: who comes second is told of the first, and a lock whose owner is gone is taken over."""

import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from resjax.errors import BadInput
from resjax.run.workdir.lock import NAME, STALE_SECONDS, only_writer


def write_lock(workdir, seconds_ago: float = 0.0, **owner) -> None:
    known = {"host": platform.node(), "pid": os.getpid(), "began": "", "token": "t"}
    (workdir / NAME).write_text(json.dumps(known | owner))
    then = time.time() - seconds_ago
    os.utime(workdir / NAME, (then, then))


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    with only_writer(tmp_path):
        with pytest.raises(BadInput, match=rf"process {os.getpid()} on {platform.node()}.*\d+ s ago"):
            with only_writer(tmp_path):
                pytest.fail("two writers")
        assert (tmp_path / NAME).exists()
    assert not (tmp_path / NAME).exists()


def test_a_folder_that_stays_empty_goes_again(tmp_path):
    with only_writer(tmp_path / "runs" / "new"):
        assert (tmp_path / "runs" / "new").is_dir()
    assert not (tmp_path / "runs").exists()


def test_the_lock_of_a_process_that_has_ended_is_taken_over(tmp_path, capsys):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_lock(tmp_path, pid=ended.pid)
    with only_writer(tmp_path):
        assert "taking it over" in capsys.readouterr().out


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="the system does not say when a process began")
def test_a_process_id_that_came_again_is_another_process(tmp_path):
    write_lock(tmp_path, began="an earlier boot 17")
    with only_writer(tmp_path):
        pass


def test_a_lock_of_another_host_counts_until_it_has_been_silent_for_long(tmp_path):
    write_lock(tmp_path, host="elsewhere")
    with pytest.raises(BadInput, match="on elsewhere"), only_writer(tmp_path):
        pass
    write_lock(tmp_path, seconds_ago=STALE_SECONDS + 1, host="elsewhere")
    with only_writer(tmp_path):
        pass


def test_a_damaged_lock_counts_until_it_has_been_silent_for_long(tmp_path):
    (tmp_path / NAME).write_text("{")
    with pytest.raises(BadInput, match="an unknown process"), only_writer(tmp_path):
        pass
    os.utime(tmp_path / NAME, (0, 0))
    with only_writer(tmp_path):
        pass


def test_of_many_that_come_at_once_to_a_stale_lock_one_writes_at_a_time(tmp_path):
    write_lock(tmp_path, seconds_ago=STALE_SECONDS + 1, host="elsewhere")
    writing, most = [], []

    def write(_: int) -> bool:
        try:
            with only_writer(tmp_path):
                writing.append(1)
                most.append(len(writing))
                time.sleep(0.01)
                writing.pop()
                return True
        except BadInput:
            return False

    with ThreadPoolExecutor(8) as pool:
        wrote = [*pool.map(write, range(8))]
    assert any(wrote) and max(most) == 1


def test_what_a_killed_writer_had_not_finished_is_removed_and_nothing_else(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    for name in (".result.json.4711.tmp", ".store.tmp", "result.json"):
        (folder / name).write_text("half")
    with only_writer(tmp_path):
        pass
    assert {path.name for path in folder.iterdir()} == {".store.tmp", "result.json"}


def test_a_drive_without_hard_links_has_locks_too(tmp_path, monkeypatch):
    def unsupported(*_):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", unsupported)
    with only_writer(tmp_path):
        with pytest.raises(BadInput, match="is being written"), only_writer(tmp_path):
            pass


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match="can be written is accepted"), only_writer(tmp_path):
        pass
